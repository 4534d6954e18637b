"""The security log: what is recorded, how it is chained, put into words, mailed and verified."""
