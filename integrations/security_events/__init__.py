"""What the exchange adds to the security log: tokens, partners' systems and groups, retries and skips."""
