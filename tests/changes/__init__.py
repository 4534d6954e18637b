"""Tests of the app `changes`."""
