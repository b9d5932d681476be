"""Checkers that follow a run while it is recorded, in memory that does not grow with it."""
