"""From a change of a record to the partner: what is sent, the outbox, delivery."""
