"""The outgoing and incoming operations in the timeline of a change's page."""

from __future__ import annotations

from typing import Any

from django.db.models import CharField, F
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext_lazy as _

from changes.models import Change
from changes.pages.change.timeline import Kind, Loaded, Show
from integrations.models import IncomingOperation, OutgoingOperation

from .change_panel import incoming_row, outgoing_row


def _outgoing(change: Change, keys: list[str]) -> Loaded:
    rows = OutgoingOperation.objects.filter(pk__in=keys).with_neighbours().defer("payload")
    return _by_key(keys, [outgoing_row(operation) for operation in rows])


def _incoming(change: Change, keys: list[str]) -> Loaded:
    rows = IncomingOperation.objects.filter(pk__in=keys).with_system("user").defer("payload", "result")
    return _by_key(keys, [incoming_row(operation) for operation in rows])


def _by_key(keys: list[str], rows: list[Any]) -> Loaded:
    """The rows by their keys. A key is a UUID with or without hyphens, depending on the database."""
    by_hex = {row.operation.pk.hex: row for row in rows}
    return {key: by_hex[key.replace("-", "")] for key in keys if key.replace("-", "") in by_hex}


SHOW = Show(
    "operations",
    _("Operations"),
    [
        Kind(
            "outgoing",
            "integrations/includes/timeline_outgoing.html",
            lambda change: change.outgoing_operations.all(),
            _outgoing,
            state=Concat("status", Cast("tries", CharField()), output_field=CharField()),
        ),
        Kind(
            "incoming",
            "integrations/includes/timeline_incoming.html",
            lambda change: change.incoming_operations.all(),
            _incoming,
            moment="received_at",
            state=F("status"),
        ),
    ],
)
