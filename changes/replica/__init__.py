"""The read replica of the database, if there is one: who reads from it, and whether it is fresh enough."""
