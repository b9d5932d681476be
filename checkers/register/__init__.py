"""Judges histories of registers: reads, writes, compare-and-set, each key on its own or all together."""
