"""Test operations: a test change is given to a partner and cancelled at once; pages show what became of it."""
