"""From an operation to its answer: applied once, in one transaction."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from changes import conflicts
from changes.actor import acting
from changes.exceptions import ChangeRefused
from changes.models import Attachment
from changes.models.holding import holding
from changes.prepared import prepared
from integrations import origin
from integrations.choices import IncomingKind, IncomingStatus
from integrations.models import IncomingOperation, OutgoingOperation

from .effects import carry_out, new_change
from .entries import keep, new_entry, remembered
from .locks import lock_origin
from .request import Answer, IncomingRequest, OperationRefused
from .target import find, refuse_taken


def receive(request: IncomingRequest) -> Answer:
    """Applies an operation once. Raises OperationRefused or ChangeRefused, with nothing changed."""
    return conflicts.retry(partial(_receive, request))


def _receive(request: IncomingRequest) -> Answer:
    """Nearly every operation is new, so it is applied at once; the unique constraints of the idempotency key and of the
    external id undo a repeat, and only then, or when it is refused, is asked what came before.
    """
    try:
        return _apply_whole(request)
    except (IntegrityError, OperationRefused, ChangeRefused, ValidationError) as error:
        # What took the same key or external id has committed, so it is seen now.
        if first := remembered(request):
            return first
        if not isinstance(error, IntegrityError):
            raise
    if request.operation == IncomingKind.CREATE:
        refuse_taken(request)
    # For the others: what was written meanwhile may well be the same. Whether it agrees is asked once more.
    return _apply_whole(request)


def _apply_whole(request: IncomingRequest) -> Answer:
    """Applies it in one transaction: all of it is kept, or nothing."""
    stored: list[Attachment] = []
    try:
        with transaction.atomic():
            return _apply(request, stored)
    except BaseException:
        for attachment in stored:
            attachment.discard_file()
        raise


def _apply(request: IncomingRequest, stored: list[Attachment]) -> Answer:
    if _began_here(request):
        return _ignore(request)
    found = None if request.operation == IncomingKind.CREATE else find(request)
    record = new_entry(request, IncomingStatus.APPLIED)
    # What it causes refers to the record, which is written last, with its result: the database checks at the commit.
    by_whom = acting(request.system.authorized_user, request.system.system_id)
    with origin.applying(record), by_whom, prepared():
        change, reference = found or (new_change(request), None)
        with holding(change):
            reference = carry_out(request, change, reference, stored)
        return keep(record, change, reference)


# --- Where it began ---


def _began_here(request: IncomingRequest) -> bool:
    """Whether its origin is an operation of ours, or one that was applied here before (rule 9 of section 3)."""
    if not request.origin:
        return False
    system_id, operation_id = request.origin["system_id"], request.origin["operation_id"]
    lock_origin(system_id, operation_id)
    # One operation may go on as several, each with its origin: from the same desk only a repeat is one too many.
    applied = Q(origin_system_id=system_id, origin_operation_id=operation_id) & (
        ~Q(system=request.system) | Q(body_sha256=request.body_sha256)
    )
    applied |= Q(system__system_id=system_id, idempotency_key=operation_id)
    if number := _uuid(operation_id):
        if OutgoingOperation.objects.filter(pk=number).exists():
            return True
        applied |= Q(pk=number)
    return IncomingOperation.objects.filter(applied, status=IncomingStatus.APPLIED).exists()


def _ignore(request: IncomingRequest) -> Answer:
    change = reference = None
    if request.operation != IncomingKind.CREATE:
        with suppress(OperationRefused):  # it is ignored whatever it names
            change, reference = find(request)
    record = new_entry(request, IncomingStatus.IGNORED)
    record.http_status = 200
    return keep(record, change, reference)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
