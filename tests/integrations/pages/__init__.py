"""Tests of the exchange's own pages and of its parts of a change's page."""
