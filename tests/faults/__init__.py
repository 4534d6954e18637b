"""Tests that kill, pause or cut off parts of an installation, and a model of the outbox."""
