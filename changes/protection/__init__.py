"""What protects the product itself: encryption of secrets, and turns for expensive work."""
