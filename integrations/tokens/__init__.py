"""API tokens: their names, how long they live, when they were last used, and when they are revoked."""
