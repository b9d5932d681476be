"""Judges histories of sets, counters, queues and timestamps: objects that need no search."""
