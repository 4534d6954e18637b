"""Partners that speak their own language: a document says which calls an operation becomes, and what they mean."""
