"""The exchange log, the page of one operation, and their files."""
