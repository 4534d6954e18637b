"""Tests of the REST API for partners."""
