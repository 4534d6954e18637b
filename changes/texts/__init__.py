"""Texts: lines and file names as they are kept, the direction of letters, differences, times."""
