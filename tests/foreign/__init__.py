"""Real desks of other makers, from Debian's packages, and what the presets of integrations/presets/ do with them."""
