"""Tests of the exchange log and of retrying a time window."""
