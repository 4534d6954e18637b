"""The state of the exchange with each system, and the texts that describe it."""
