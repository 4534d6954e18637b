"""One operation of a partner: found, deduplicated and applied in one transaction, or refused whole.

The caller has authenticated the partner and validated the fields (`IncomingRequest`). Everything else that may be
wrong is raised as `OperationRefused` or as a `ChangeRefused` of the change itself; nothing of the operation is kept
then but the entry that `log_failure()` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import Q

from changes.actor import acting
from changes.choices import CompletionCode, Phase
from changes.exceptions import ChangeRefused
from changes.models import Attachment, Change, Comment
from changes.models.holding import holding

from . import origin, payloads
from .access import reachable
from .choices import IncomingKind, IncomingStatus
from .locks import lock_origin
from .models import Exchange, ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation

ASSIGNED_COMMENT = "Change was assigned locally from external system"
REJECTED_COMMENT = "Change was rejected by the external fulfillment system"


class OperationRefused(Exception):  # noqa: N818 - as in changes.exceptions
    """Why the operation was not applied: an HTTP status, a code, a text, and the path of the field."""

    def __init__(self, status: int, code: str, detail: str, attr: str | None = None) -> None:
        self.status, self.code, self.detail, self.attr = status, code, detail, attr
        super().__init__(detail)


@dataclass(frozen=True)
class IncomingRequest:
    """An operation whose fields are valid.

    `payload` is what came, for the log, without attachments' content. `message_id` is the sender's own id of the
    operation, where it has one (`webhook-id`).
    """

    system: ExternalSystem
    operation: IncomingKind
    payload: Mapping[str, Any] = field(default_factory=dict)
    body_sha256: str = ""
    idempotency_key: str | None = None
    message_id: str | None = None
    external_id: str = ""
    external_url: str | None = None
    external_status: str | None = None
    change_number: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    comments: tuple[Mapping[str, Any], ...] = ()
    attachments: tuple[Mapping[str, Any], ...] = ()
    origin: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """What the partner is told. `is_replay`: the answer of the first time, to a repeat."""

    http_status: int
    body: Mapping[str, Any]
    is_replay: bool = False


def receive(request: IncomingRequest) -> Answer:
    """Applies an operation once. Raises OperationRefused or ChangeRefused, with nothing changed.

    Nearly every operation is new, so it is applied at once; the unique constraints of the idempotency key and of the
    external id undo a repeat, and only then, or when it is refused, is asked what came before.
    """
    try:
        return _apply_whole(request)
    except (IntegrityError, OperationRefused, ChangeRefused, ValidationError) as error:
        # What took the same key or external id has committed, so it is seen now.
        if first := _remembered(request):
            return first
        if not isinstance(error, IntegrityError):
            raise
    _refuse_taken(request)
    return _apply_whole(request)


def _remembered(request: IncomingRequest) -> Answer | None:
    """The first answer, when this key was applied before."""
    if request.idempotency_key is None:
        return None
    first = (
        IncomingOperation.objects.filter(system=request.system, idempotency_key=request.idempotency_key)
        .exclude(status=IncomingStatus.FAILED)
        .first()
    )
    if first is None:
        return None
    if first.body_sha256 != request.body_sha256:
        raise OperationRefused(
            409,
            "idempotency_key_reused",
            "This idempotency key came with another body before. Use a new key for a new operation.",
        )
    return Answer(first.http_status, first.result or {}, is_replay=True)


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
    found = None if request.operation == IncomingKind.CREATE else _find(request)
    record = _record(request, IncomingStatus.APPLIED)
    # What it causes refers to the record, which is written last, with its result: the database checks at the commit.
    with origin.applying(record), acting(request.system.authorized_user, request.system.system_id):
        change, reference = found or (_new_change(request), None)
        with holding(change):
            reference = _carry_out(request, change, reference, stored)
    return _keep(record, change, reference)


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
            change, reference = _find(request)
    record = _record(request, IncomingStatus.IGNORED)
    record.http_status = 200
    return _keep(record, change, reference)


def _uuid(text: str) -> Any:
    try:
        return UUID(text)
    except ValueError:
        return None


# --- Its target ---


def _find(request: IncomingRequest) -> tuple[Change, ExternalReference | None]:
    """The locked change that it is about, and the reference. One that the partner does not reach is as if it did not
    exist."""
    changes = Change.objects.with_people().locked()
    if request.change_number:
        attr, changes = "change_number", reachable([request.system], changes).filter(number=request.change_number)
    else:
        # Whoever has a reference reaches the change.
        attr, changes = (
            "external_id",
            changes.filter(
                external_references__system=request.system, external_references__external_id=request.external_id
            ),
        )
    change = changes.first()
    # Read under the lock: it may have been deleted while this waited.
    reference = _reference(request.system, change) if change else None
    if change is None or not (reference or request.change_number):
        raise OperationRefused(404, "not_found", "There is no such change.", attr)
    if request.change_number and request.external_id:
        _refuse_disagreement(request, change, reference)
    return change, reference


def _refuse_disagreement(request: IncomingRequest, change: Change, reference: ExternalReference | None) -> None:
    if reference is None:
        _refuse_taken(request)
    elif reference.external_id != request.external_id:
        raise OperationRefused(
            409,
            "external_id_mismatch",
            f"{change.number} has another external id here: {reference.external_id}.",
            "external_id",
        )


def _refuse_taken(request: IncomingRequest) -> None:
    taken = (
        ExternalReference.objects.select_related("change")
        .filter(system=request.system, external_id=request.external_id)
        .first()
    )
    if taken:
        raise OperationRefused(
            409,
            "external_id_taken",
            f"The external id {request.external_id} is already that of {taken.change.number}.",
            "external_id",
        )


def _reference(system: ExternalSystem, change: Change) -> ExternalReference | None:
    reference = ExternalReference.objects.filter(system=system, change=change).first()
    if reference:
        reference.system = system  # loaded already
    return reference


# --- What it does ---


def _new_change(request: IncomingRequest) -> Change:
    change = Change(requested_by=request.system.authorized_user)
    _set_properties(change, request.properties)
    change.save()
    return change


def _carry_out(
    request: IncomingRequest, change: Change, reference: ExternalReference | None, stored: list[Attachment]
) -> ExternalReference | None:
    """Carries out section 4's table, then adds the comments and attachments. Returns the reference there is now."""
    is_news = True
    if request.operation == IncomingKind.UPDATE:
        _set_properties(change, request.properties)
        change.save()
    elif request.operation == IncomingKind.CANCEL:
        is_news = _cancel(change)
    if request.operation == IncomingKind.REJECT:
        _reject(request.system, change, reference)
        reference = None
    else:
        reference = _keep_reference(request, change, reference, is_news)
    _add(request, change, stored)
    return reference


def _set_properties(change: Change, properties: Mapping[str, Any]) -> None:
    """Sets the fields, then makes the transition, if one is asked for. The current phase is none."""
    for name, value in properties.items():
        if name != "phase":
            setattr(change, name, value)
    target = properties.get("phase")
    if target is not None and target != change.phase:
        change.move_to(target)


def _cancel(change: Change) -> bool:
    """Withdraws and abandons the change. False if it was so already, and nothing changes."""
    if change.completion_code == CompletionCode.WITHDRAWN and change.phase == Phase.ABANDON:
        return False
    change.completion_code = CompletionCode.WITHDRAWN
    change.move_to(Phase.ABANDON)
    change.save()
    return True


def _reject(system: ExternalSystem, change: Change, reference: ExternalReference | None) -> None:
    exchange = Exchange.objects.filter(change=change, system=system).first() or Exchange(change=change, system=system)
    exchange.state = exchange.state.after_reject()
    exchange.save()
    if reference:
        reference.delete()


def _keep_reference(
    request: IncomingRequest, change: Change, reference: ExternalReference | None, is_news: bool
) -> ExternalReference | None:
    """Stores what the partner says of its record, and when it was last heard of: with `is_news` now."""
    if reference is None:
        if not request.external_id:
            if request.external_status is not None or request.external_url is not None:
                raise OperationRefused(
                    400,
                    "required",
                    "There is no external reference yet: send the external_id too.",
                    "external_id",
                )
            return None
        reference = ExternalReference(change=change, system=request.system, external_id=request.external_id)
        is_news = True
    for name in ("external_url", "external_status"):
        said = getattr(request, name)
        if said is not None and said != getattr(reference, name):
            setattr(reference, name, said)
            is_news = True
    if is_news:
        reference.save()
    return reference


def _add(request: IncomingRequest, change: Change, stored: list[Attachment]) -> None:
    author = request.system.authorized_user
    own = {IncomingKind.ASSIGN: ASSIGNED_COMMENT, IncomingKind.REJECT: REJECTED_COMMENT}.get(request.operation)
    if own:
        Comment(change=change, author=author, body=own).save()
    for comment in request.comments:
        Comment(
            change=change,
            author=author,
            author_name=comment["author"],
            body=comment["body"],
            visibility=comment["visibility"],
        ).save()
    for sent in request.attachments:
        attachment = Attachment(
            change=change,
            author=author,
            file=ContentFile(sent["content"], name="content"),
            file_name=sent["file_name"],
            content_type=sent["content_type"],
        )
        stored.append(attachment)
        attachment.save()


# --- What is remembered of it ---


def _record(request: IncomingRequest, status: IncomingStatus) -> IncomingOperation:
    """The entry of the log, which has its id but is not written yet."""
    came_from = request.origin or {"system_id": "", "operation_id": ""}
    if request.origin is None and request.message_id:
        came_from = {"system_id": request.system.system_id, "operation_id": request.message_id}
    return IncomingOperation(
        system=request.system,
        user=request.system.authorized_user,
        operation=request.operation,
        status=status,
        idempotency_key=request.idempotency_key,
        body_sha256=request.body_sha256,
        payload=request.payload,
        origin_system_id=came_from["system_id"],
        origin_operation_id=came_from["operation_id"],
        http_status=201 if request.operation == IncomingKind.CREATE else 200,
    )


def _keep(record: IncomingOperation, change: Change | None, reference: ExternalReference | None) -> Answer:
    """The answer, kept with the operation so that a repeat gets the same. This is the last that is written."""
    record.change = change
    record.result = {
        "id": str(record.pk),
        "operation": str(record.operation),
        "status": str(record.status),
        "change": payloads.change_snapshot(change, [reference] if reference else []) if change else None,
        "external_reference": payloads.reference_snapshot(reference) if reference else None,
    }
    record.save(force_insert=True)
    return Answer(record.http_status, record.result)


def log_failure(
    user: Any,
    system: ExternalSystem | None,
    http_status: int,
    error: str,
    payload: Mapping[str, Any],
    body_sha256: str,
    idempotency_key: str | None,
) -> None:
    """Keeps what came, from whom, and why it was refused."""
    operation = payload.get("operation")
    change = _named_by(payload, system) if system else None
    IncomingOperation.objects.create(
        system=system,
        user=user,
        operation=operation if operation in IncomingKind.values else "",
        status=IncomingStatus.FAILED,
        idempotency_key=idempotency_key,
        body_sha256=body_sha256,
        payload=payload,
        change=change,
        http_status=http_status,
        error=error,
    )


def _named_by(payload: Mapping[str, Any], system: ExternalSystem) -> Change | None:
    """The change that a failed operation was about, as far as it can be told and the partner reaches it."""
    number, external_id = payload.get("change_number"), payload.get("external_id")
    reached = reachable([system])
    if isinstance(number, str):
        return reached.filter(number=number[:22]).first()
    if isinstance(external_id, str):
        named = {"external_references__system": system, "external_references__external_id": external_id[:255]}
        return reached.filter(**named).first()
    return None
