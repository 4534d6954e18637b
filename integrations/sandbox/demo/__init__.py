"""The demonstration: a desk with three partners and a history, and a script that plays every operation."""
