"""Helpers for texts: one-line texts, file names, right-to-left texts, differences, timestamps."""
