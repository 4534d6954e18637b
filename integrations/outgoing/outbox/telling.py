"""What is told of tries that were written: lines of the log, figures for Prometheus, and spans of traces."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from prometheus_client import Histogram

from changes import spans, work
from integrations.choices import Failure
from integrations.metrics import ATTEMPT_SECONDS, DELIVERY_SECONDS

from .results import Outcome, Result

logger = logging.getLogger("casexchange.attempts")
_delivered = logging.getLogger("casexchange.attempts.delivered")  # silent without LOG_DELIVERIES


def tell(tried: Sequence[Result], ended: Sequence[Result], now: datetime) -> None:
    """Logs and counts these tries, and how long the operations that `ended` had waited. Call it after the commit."""
    _tell(tried)
    for result in tried:
        if not result.attempt.confirmation and result.attempt.failure != Failure.NOT_ACKNOWLEDGED:
            _of(ATTEMPT_SECONDS, result).observe(result.attempt.duration)
    for result in ended:
        if result.outcome in (Outcome.DELIVERED, Outcome.REFUSED):
            waited = (now - result.operation.created_at).total_seconds()
            _of(DELIVERY_SECONDS, result).observe(max(0.0, waited))


def _tell(tried: Sequence[Result]) -> None:
    """A line in the log for each try, and a span if there are traces. Tries that succeeded are many, so LOG_DELIVERIES
    asks for their lines."""
    for result in tried:
        is_good = result.outcome in (Outcome.DELIVERED, None)
        level = logging.WARNING if result.outcome in (Outcome.REFUSED, Outcome.PAUSE) else logging.INFO
        chosen, tracer = _delivered if is_good else logger, spans.tracer()
        if not (tracer or chosen.isEnabledFor(level)):
            continue
        text, fields = _told(result)
        if chosen.isEnabledFor(level):
            chosen.log(level, text, extra={**fields, "request_id": result.operation.request_id})
        if tracer and not result.attempt.confirmation:
            name = f"{result.operation.operation} to {result.operation.system.system_id}"
            attempt = result.attempt
            request_id = result.operation.request_id or work.new_request_id()
            tracer.add(name, attempt.started_at, attempt.duration, request_id, fields, not is_good)


def _told(result: Result) -> tuple[str, dict[str, object]]:
    operation, attempt = result.operation, result.attempt
    word = "step" if result.outcome is None else result.outcome.value
    status = f" {attempt.http_status}" if attempt.http_status else ""
    failure = f", {attempt.failure}" if attempt.failure else ""
    system_id = operation.system.system_id
    text = f"{operation.operation} {operation.sequence} to {system_id}: {word}{status}{failure}"
    return f"{text} in {attempt.duration * 1000:.0f} ms", {
        "operation_id": str(operation.pk),
        "attempt": operation.claim,
        "system": system_id,
        "result": word,
        "http_status": attempt.http_status,
        "milliseconds": round(attempt.duration * 1000, 1),
    }


def _of(histogram: Histogram, result: Result) -> Histogram:
    word = "step" if result.outcome is None else result.outcome.value
    return _child(histogram, result.operation.system.system_id, word)


@cache
def _child(histogram: Histogram, system_id: str, result: str) -> Histogram:
    return histogram.labels(system_id, result)
