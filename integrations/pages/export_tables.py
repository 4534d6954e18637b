"""The exchange in the files for auditors: the references of changes to partners' records, and their operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter

from django.utils.translation import gettext_lazy

from changes.models import Change
from changes.pages.list.export import Table
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation

from .log import rows as log_rows

Row = tuple[object, ...]
BIG = ("payload", "result")


def _references(changes: Sequence[Change]) -> Iterator[Row]:
    numbers = {change.pk: change.number for change in changes}
    rows = ExternalReference.objects.filter(change__in=changes).with_system().order_by("change", "system__system_id")
    for row in rows.iterator():
        yield (
            numbers[row.change_id],
            row.system.system_id,
            row.external_id,
            row.external_status,
            row.external_url,
            row.updated_at,
        )


def _operations(changes: Sequence[Change]) -> Iterator[Row]:
    """Both directions, those of one change in the order in which they were recorded or received."""
    numbers = {change.pk: change.number for change in changes}
    found: dict[int | None, list[tuple[datetime, list[Row]]]] = {}
    sent = list(OutgoingOperation.objects.filter(change__in=changes).with_system("skipped_by").defer(BIG[0]))
    attempts = log_rows.attempts_of(sent)
    for out in sorted(sent, key=attrgetter("pk")):
        rows = log_rows.outgoing_rows(out, numbers[out.change_id], attempts.get(out.pk, ()))
        found.setdefault(out.change_id, []).append((out.created_at, list(rows)))
    came = IncomingOperation.objects.filter(change__in=changes).with_system("user").defer(*BIG)
    for into in came.order_by("change", "pk").iterator():
        row = log_rows.incoming_row(into, numbers[into.change_id] if into.change_id else "")
        found.setdefault(into.change_id, []).append((into.received_at, [row]))
    for change in changes:
        for _moment, own in sorted(found.get(change.pk, ()), key=itemgetter(0)):
            yield from own


TABLES = (
    Table(
        "references",
        gettext_lazy("References"),
        ("number", "system_id", "external_id", "external_status", "external_url", "last_heard_at"),
        _references,
    ),
    Table(
        "operations",
        gettext_lazy("Exchange log"),
        log_rows.NAMES,
        _operations,
    ),
)
