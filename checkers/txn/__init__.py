"""Transactions of micro-operations: list-append and rw-register, from their histories to versions and anomalies."""
