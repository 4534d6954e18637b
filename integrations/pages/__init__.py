"""The pages of the exchange, and its parts of the pages of changes."""
