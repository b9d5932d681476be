"""PD and TiKV in one process, on virtual time, from one seed."""
