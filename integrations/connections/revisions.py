"""The revisions of a connection: which document is active, who activated it and why."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from changes.security_log.recording import Subject, record
from integrations.models import ConnectionDraft, ConnectionPoll, ConnectionRevision, ExternalSystem
from integrations.outgoing import outbox

from .document import FaultyDocument, connection_of
from .evaluation.connection import Connection
from .secrets import forget_token


def activate(
    system: ExternalSystem, document: str, user: Any, reason: str = "", back_to: int | None = None
) -> ConnectionRevision | None:
    """Makes `document` the active one. Returns None if it is active already: then nothing was changed.

    Raises FaultyDocument. The draft goes if it is the same. Operations that wait are sent by the new revision.
    """
    connection = connection_of(document)
    with transaction.atomic():
        system = ExternalSystem.objects.select_for_update(no_key=True).get(pk=system.pk)
        latest = system.connection
        if latest and latest.document == document:
            return None
        revision = ConnectionRevision.objects.create(
            system=system,
            number=latest.number + 1 if latest else 1,
            document=document,
            reason=reason,
            activated_at=timezone.now(),
            activated_by=user,
            went_back_to=back_to,
        )
        system.connection = revision
        system.save(update_fields=["connection"])
        ConnectionDraft.objects.filter(system=system, document=document).delete()
        forget_token(system)  # it may have been another desk's
        _begin_polls(system, latest, connection)
        record("connection_activated", Subject.of(system), {"number": revision.number})
        if system.paused_at:
            outbox.resume(system)
        outbox.wake_on_commit()
    return revision


def _begin_polls(system: ExternalSystem, latest: ConnectionRevision | None, connection: Connection) -> None:
    """Polls at once. If the new document asks another desk, or counts by another cursor, its first poll begins anew."""
    if connection.poll is None:
        return
    values: dict[str, Any] = {"due_at": timezone.now(), "failures": 0, "failing_since": None}
    try:
        before = connection_of(latest.document) if latest else None
    except FaultyDocument:
        before = None
    if before and before.poll:
        told = [(each.base_url, each.poll.cursor if each.poll else None) for each in (before, connection)]
        if told[0] != told[1]:
            values["cursor"] = None
    ConnectionPoll.objects.update_or_create(system=system, defaults=values)


@lru_cache(maxsize=256)
def connection_of_revision(key: int | None) -> tuple[int, Connection]:
    """The number and the document of a revision, which never change. Raises FaultyDocument.

    `key`: as in `ExternalSystem.connection_id`. Raises DoesNotExist for None: nothing is active.
    """
    revision = ConnectionRevision.objects.only("number", "document").get(pk=key or 0)
    return revision.number, connection_of(revision.document)


def active_connection(system: ExternalSystem) -> Connection | None:
    """The active document of a mapped system; None without one, and for one that this release cannot read."""
    try:
        return connection_of_revision(system.connection_id)[1]
    except (FaultyDocument, ConnectionRevision.DoesNotExist):
        return None


def inbox_address(system: ExternalSystem) -> str:
    """Where the partner sends its webhooks; "" if the active document has no inbox."""
    connection = active_connection(system)
    has_inbox = connection is not None and connection.inbox
    return f"{settings.BASE_URL}{reverse('connections:inbox', args=[system.system_id])}" if has_inbox else ""
