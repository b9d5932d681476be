"""File formats of histories: how operations are read from them and written to them. Judging is for others."""
