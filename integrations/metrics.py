"""What the processes count for Prometheus. The labels have few values: ids of systems, and fixed words.

The gauges that come from the database are in `integrations.watch.figures`.
"""

from prometheus_client import Counter, Histogram

ATTEMPT_SECONDS = Histogram(
    "casexchange_attempt_seconds",
    "Seconds from a call to a partner to its answer, by system and what the answer meant.",
    ["system", "result"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DELIVERY_SECONDS = Histogram(
    "casexchange_delivery_seconds",
    "Seconds from the recording of an operation to its delivery or refusal.",
    ["system", "result"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 43200),
)
INCOMING = Counter(
    "casexchange_incoming_operations",
    "Operations that partners sent, by system and result.",
    ["system", "result"],
)
