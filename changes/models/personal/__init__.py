"""What a person chose, and has looked at."""
