"""Finished changes, removed as a whole: with comments, files, approvals, history and all of their exchange."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.core.files.storage import default_storage
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Exists, OuterRef, QuerySet, Sum
from django.db.models.deletion import Collector

from changes.choices import FINAL_PHASES
from changes.models import Approval, Attachment, Change, Comment
from integrations.incoming import quota
from integrations.models import DeliveryAttempt, Exchange, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.outgoing.outbox import retiring

from . import archived

PARTS = {
    "comments": Comment,
    "attachments": Attachment,
    "approvals": Approval,
    "external_references": ExternalReference,
    "exchanges": Exchange,
    "outgoing_operations": OutgoingOperation,
}


def changes() -> QuerySet[Any]:
    """Those in a final phase for which nothing waits to be sent or for a person."""
    open_ones = OutgoingOperation.objects.unsettled().filter(change=OuterRef("pk"))
    return Change.objects.filter(~Exists(open_ones), phase__in=FINAL_PHASES)


def archive(change: Any) -> dict[str, Any]:
    """The change with all that belongs to it, as one line. Its files are copied to the archive."""
    line: dict[str, Any] = {"change": archived.values_of(change)}
    for name, model in PARTS.items():
        rows = model._default_manager.filter(change=change.pk).order_by("pk")
        line[name] = [archived.values_of(row) for row in rows]
    line["history"] = [archived.values_of(row) for row in change.history.order_by("history_id")]
    attempts = DeliveryAttempt.objects.filter(operation__change=change.pk).order_by("pk")
    line["delivery_attempts"] = [archived.values_of(row) for row in attempts]
    for attachment in line["attachments"]:
        attachment["file"] = str(attachment["file"])
        archived.keep_file(attachment["file"])
    return line


def drop(rows: Sequence[Any]) -> None:
    """Deletes these changes, whose rows are locked. Their files go after the commit."""
    keys = [change.pk for change in rows]
    attachments = Attachment.objects.filter(change__in=keys)
    for name in attachments.values_list("file", flat=True):
        transaction.on_commit(partial(default_storage.delete, name))
    of_partners = attachments.exclude(source_system=None).values("source_system").annotate(size=Sum("size")).order_by()
    systems = dict(ExternalSystem.objects.values_list("system_id", "pk"))
    for each in of_partners:
        if each["source_system"] in systems:
            quota.give_back(systems[each["source_system"]], each["size"])
    retiring.drop_all_of(keys)
    # The models refuse to delete changes and what was added to them: this is the one exception.
    collector = Collector(using=DEFAULT_DB_ALIAS)
    collector.collect(rows)
    collector.delete()
