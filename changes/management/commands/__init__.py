"""Commands for people's accounts."""
