"""A cluster of PD and TiKV in Docker: its containers, and the faults that are put on them from the host."""
