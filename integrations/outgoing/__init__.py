"""From a saved change record to the partner: what is sent, the outbox, and the delivery."""
