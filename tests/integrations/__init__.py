"""Tests of the app `integrations`."""
