"""Pure: templates in minijinja, what they may contain, their values and filters, and what can be wrong with them."""
