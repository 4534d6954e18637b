"""A test operation: a change that goes to a partner and back, and what became of it."""
