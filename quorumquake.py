"""quorumquake: a chaos and consistency test harness for TiKV."""
