"""What the exchange adds to the news of an open page of a change."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db.models import Count, Max, Q, Sum

from changes.models import Change
from changes.pages.change.news import Source
from integrations.choices import DeliveryStatus
from integrations.models import Exchange, ExternalSystem, IncomingOperation, OutgoingOperation

from .change_panel import exchange_of

_STATES = ("pk", "enabled", "paused_at", "control__breaker")


def stamps(changes: Collection[int]) -> Mapping[int, str]:
    """For each change a text that differs when an operation, or the state of one of its systems, does. Four queries."""
    found: dict[int, list[object]] = {key: [] for key in changes}
    states = {row[0]: row for row in ExternalSystem.objects.order_by().values_list(*_STATES)}
    exchanges = Exchange.objects.filter(change__in=changes).order_by("pk")
    for key, system, *positions in exchanges.values_list("change", "system", "last_sequence", "rejected_at_sequence"):
        found[key].append((positions, states.get(system)))
    # Only open operations, of which there are few. One that is settled leaves them.
    of_open = OutgoingOperation.objects.unsettled().filter(exchange__change__in=changes).order_by()
    sent, refused = Q(status=DeliveryStatus.SENDING), Q(status=DeliveryStatus.REFUSED)
    counts = {"sent": Count("pk", filter=sent), "refused": Count("pk", filter=refused)}
    sums = (Count("pk"), Sum("claim"), Sum("tries"), Max("next_try_at"))
    under_way = of_open.values_list("exchange__change").annotate(*sums, **counts)
    incoming = IncomingOperation.objects.filter(change__in=changes).order_by().values_list("change")
    for rows in (under_way, incoming.annotate(Max("received_at"))):
        for key, *values in rows:
            found[key].append(values)
    return {key: str(values) for key, values in found.items()}


def _values(change: Change, shown: str) -> dict[str, object]:
    exchange = exchange_of(change)
    # Only a changed summary is announced by a screen reader.
    is_news = shown.partition(".")[0] != exchange.version.partition(".")[0]
    return {"exchange": exchange, "is_news": is_news}


NEWS = Source(stamps, lambda change: exchange_of(change).version, "integrations/includes/exchange_news.html", _values)
