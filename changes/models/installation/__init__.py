"""Records of the whole installation: its security log, what it is a copy of, counters over all processes."""
