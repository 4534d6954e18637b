"""The management commands of the exchange."""
