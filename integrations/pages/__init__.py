"""The exchange's own pages, and its parts of the changes' pages."""
