"""Our brokers and the clock of Celery: how wake-ups travel, and when sweeps begin."""
