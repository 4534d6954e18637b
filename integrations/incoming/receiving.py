"""Receives an operation: applies it once, in one transaction, and returns the answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q

from changes import conflicts
from changes.actor import acting
from changes.exceptions import ChangeRefused
from changes.models import Attachment, Change
from changes.models.activity import note_save
from changes.models.holding import holding
from changes.models.prepared import prepared
from integrations import origin
from integrations.choices import Delivery, IncomingKind, IncomingStatus
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox

from .budget import stored_because_of
from .effects import carry_out, new_change
from .entries import created_before, keep, new_entry, remembered, repeated
from .locks import lock_origin
from .request import Answer, IncomingRequest, OperationRefused
from .target import find, refuse_taken


def receive(request: IncomingRequest) -> Answer:
    """Applies an operation, or returns the first answer to a repeated one.

    Raises OperationRefused or ChangeRefused; then nothing was changed.
    """
    return conflicts.retry(partial(_receive, request))


def _receive(request: IncomingRequest) -> Answer:
    """Applies first and looks for an earlier answer only on a failure, since nearly every operation is new.

    A repeat violates the unique constraint on the idempotency key or on the external id, which undoes it.
    """
    try:
        return _apply_whole(request)
    except (IntegrityError, OperationRefused, ChangeRefused, ValidationError) as error:
        # The operation that took the same key or external id has committed, so this query sees it.
        if first := remembered(request):
            return first
        if not isinstance(error, IntegrityError):
            raise
    if request.operation == IncomingKind.CREATE:
        refuse_taken(request)
    # For the others, what was written meanwhile may well agree with this operation: applying it again finds out.
    return _apply_whole(request)


def _apply_whole(request: IncomingRequest) -> Answer:
    """Applies the operation in one transaction. On an error also discards the files of its attachments."""
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
    if found and request.as_kept:
        request = replace(request, properties=request.as_kept(found[0], request.properties))
    first = None
    is_told_by_content = request.is_repeatable and request.idempotency_key is None
    if is_told_by_content and found:
        first, request = repeated(request, *found)
    elif is_told_by_content:
        first = created_before(request)
    if first:
        return first
    record = new_entry(request, IncomingStatus.APPLIED)
    # Outgoing operations that this one causes refer to `record` before it is saved. It is saved last, with its result;
    # the database checks the foreign keys at the commit.
    by_whom = acting(request.system.authorized_user, request.system.system_id)
    with origin.applying(record), by_whom, prepared():
        change, reference = found or (new_change(request), None)
        with holding(change):
            if not found:
                note_save(change)  # it was inserted just now
            if found and request.system.delivery == Delivery.SMAX:
                _confirm_collected(request, change, reference)
            reference = carry_out(request, change, reference, stored)
            copies = stored_because_of(request, change)
        return replace(keep(record, change, reference), stored=copies)


def _confirm_collected(request: IncomingRequest, change: Change, reference: ExternalReference | None) -> None:
    """What an SMAX adapter writes about a record tells that it has what it was handed before."""
    is_update = request.operation == IncomingKind.UPDATE
    is_new_status = reference is not None and request.external_status not in (None, reference.external_status)
    says_more = bool(request.properties or request.comments or request.attachments or is_new_status)
    outbox.confirm_written(
        change,
        request.system,
        is_reject=request.operation == IncomingKind.REJECT,
        is_named=bool(reference or request.external_id),
        only_names=is_update and bool(request.external_id) and not says_more,
    )


# --- The origin of an operation ---


def _began_here(request: IncomingRequest) -> bool:
    """Whether the operation's origin is one of ours, or one that was applied here before (rule 9 of section 3).

    An origin at a system that the sender does not speak for decides nothing, unless we told the sender of it.
    """
    if not request.origin:
        return False
    system_id, operation_id = request.origin["system_id"], request.origin["operation_id"]
    if _is_ours(operation_id):
        return True
    if not request.system.speaks_for(system_id):
        told = {"cause__origin_system_id": system_id, "cause__origin_operation_id": operation_id}
        return OutgoingOperation.objects.filter(system=request.system, **told).exists()
    lock_origin(system_id, operation_id)
    systems = ExternalSystem.objects.only("system_id", "relays_for")
    speakers = [system for system in systems if system.speaks_for(system_id)]
    # A desk may pass on one operation as several, all with the same origin. So from the same desk, only one with the
    # same body counts as a repeat.
    applied = Q(origin_system_id=system_id, origin_operation_id=operation_id, system__in=speakers) & (
        ~Q(system=request.system) | Q(body_sha256=request.body_sha256)
    )
    applied |= Q(system__system_id=system_id, idempotency_key=operation_id)
    return IncomingOperation.objects.filter(applied, status=IncomingStatus.APPLIED).exists()


def _is_ours(operation_id: str) -> bool:
    """Whether we made this id: that of an operation to a partner, or the one in our answer to a partner's operation."""
    number = _uuid(operation_id)
    if number is None:
        return False
    if OutgoingOperation.objects.filter(pk=number).exists():
        return True
    return IncomingOperation.objects.filter(pk=number, status=IncomingStatus.APPLIED).exists()


def _ignore(request: IncomingRequest) -> Answer:
    change = reference = None
    if request.operation != IncomingKind.CREATE:
        with suppress(OperationRefused):  # ignored even if it names no change that we know
            change, reference = find(request)
    record = new_entry(request, IncomingStatus.IGNORED)
    record.http_status = 200
    return keep(record, change, reference)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
