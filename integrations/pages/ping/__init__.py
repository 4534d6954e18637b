"""A ping: whether a partner can be reached, without changing anything there."""
