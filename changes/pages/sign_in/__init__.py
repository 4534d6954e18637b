"""Signing in: passwords, second factor, OpenID Connect, sessions, and the pages on which people look after them."""
