"""Partners that speak their own language: what an administrator wrote about one of them, and what follows from it."""
