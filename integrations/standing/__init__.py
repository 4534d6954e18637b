"""How the exchange with each system stands, and in which words."""
