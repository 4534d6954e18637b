"""Tests of the REST API for changes, as staff use it."""
