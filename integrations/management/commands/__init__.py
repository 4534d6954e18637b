"""The management commands of the exchange, one module each."""
