"""Tests of the operations that partners send."""
