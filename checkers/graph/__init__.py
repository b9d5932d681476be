"""The engine: the dependency graph of transactions, its cycles, their names and words."""
