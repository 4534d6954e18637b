"""Pure: from a connection and an operation to calls, and from answers and news to what they mean."""
