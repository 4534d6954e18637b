"""All tests, in folders that mirror the code, and the helpers that they share."""
