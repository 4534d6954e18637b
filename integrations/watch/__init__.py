"""What an operator sees from outside: whether the installation is well, and its figures."""
