"""What every request passes through: addresses, limits, headers, errors, conflicts."""
