"""Tests of delivering operations to partners."""
