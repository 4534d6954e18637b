"""How change records are found, ordered and paged."""
