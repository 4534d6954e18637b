"""The exchange of changes with external systems. Builds on `changes`, never the reverse."""
