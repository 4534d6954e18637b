"""The exchange in the files for auditors: the references of changes to partners' records, and their operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter

from django.utils.translation import gettext_lazy

from changes.models import Change
from changes.pages.list.export import Table
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation

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
    found: dict[int | None, list[tuple[datetime, Row]]] = {}
    sent = OutgoingOperation.objects.filter(change__in=changes).with_system("skipped_by").defer(BIG[0])
    for out in sent.order_by("change", "pk").iterator():
        error = out.skip_reason or out.last_error
        row: Row = ("out", out.created_at, out.system.system_id, out.operation, out.sequence, out.status)
        more: Row = (out.tries, out.last_http_status, out.settled_at, error, out.pk, "")
        found.setdefault(out.change_id, []).append((out.created_at, (*row, *more)))
    came = IncomingOperation.objects.filter(change__in=changes).with_system().defer(*BIG)
    for into in came.order_by("change", "pk").iterator():
        system = into.system.system_id if into.system else ""
        row = ("in", into.received_at, system, into.operation, None, into.status)
        more = (None, into.http_status, None, into.error or into.note, into.pk, into.idempotency_key)
        found.setdefault(into.change_id, []).append((into.received_at, (*row, *more)))
    for change in changes:
        own = sorted(found.get(change.pk, ()), key=itemgetter(0))
        yield from ((numbers[change.pk], *row) for _moment, row in own)


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
        (
            "number",
            "direction",
            "at",
            "system_id",
            "operation",
            "sequence",
            "status",
            "tries",
            "http_status",
            "settled_at",
            "error",
            "operation_id",
            "idempotency_key",
        ),
        _operations,
    ),
)
