"""Tests of the status of the exchange: page, command, circuit breaker by hand."""
