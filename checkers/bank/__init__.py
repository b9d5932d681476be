"""Judges bank histories, whose values say which version they are."""
