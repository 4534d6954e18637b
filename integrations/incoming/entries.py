"""The log of incoming operations: applied and ignored ones with their answers, and failed ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from changes import work
from changes.models import Change
from integrations.access import reachable
from integrations.choices import IncomingKind, IncomingStatus
from integrations.json_text import kept, without_passwords
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation
from integrations.outgoing import payloads
from integrations.statements import same_content

from .locks import lock_origin
from .request import Answer, IncomingRequest, OperationRefused


def new_entry(request: IncomingRequest, status: IncomingStatus) -> IncomingOperation:
    """A new log entry. It has its id but is not saved yet."""
    came_from = request.origin or {"system_id": "", "operation_id": ""}
    if request.origin is None and request.message_id:
        came_from = {"system_id": request.system.system_id, "operation_id": request.message_id}
    return IncomingOperation(
        system=request.system,
        user=request.system.authorized_user,
        token=request.token,
        operation=request.operation,
        status=status,
        idempotency_key=request.idempotency_key,
        body_sha256=request.body_sha256,
        payload=request.payload,
        origin_system_id=came_from["system_id"],
        origin_operation_id=came_from["operation_id"],
        note=request.note,
        request_id=work.request_id(),
        http_status=201 if request.operation == IncomingKind.CREATE else 200,
    )


def keep(record: IncomingOperation, change: Change | None, reference: ExternalReference | None) -> Answer:
    """Saves the log entry with the answer, so that a repeat gets the same answer. Call it last. Returns the answer."""
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


def remembered(request: IncomingRequest) -> Answer | None:
    """The first answer, if the idempotency key was used before for an operation that did not fail; otherwise None.

    Raises OperationRefused if the key was used with another body.
    """
    if request.idempotency_key is not None and (first := _of_key(request)):
        return first
    if request.is_repeatable and request.operation == IncomingKind.CREATE:
        return _first_create(request)
    return None


def _of_key(request: IncomingRequest) -> Answer | None:
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
            "This idempotency key was used before with another body. Use a new key for a new operation.",
        )
    return Answer(first.http_status, first.result or {}, is_replay=True)


# --- Operations that are repeatable by their content ---

# How long the same content is taken for a repetition. Later, somebody means it.
REPEATED_WITHIN = timedelta(hours=1)
SAID_BEFORE = "Its comments were not added again: they came with the same content before."


def repeated(
    request: IncomingRequest, change: Change, reference: ExternalReference | None
) -> tuple[Answer | None, IncomingRequest]:
    """The first answer, if this operation repeats one about `change`, whose lock is held; and what is to be applied.

    It repeats one if nobody else did anything to the change since. If the partner itself did, the change may no longer
    be what the first answer says: then the operation is applied without the comments that it brought before.
    """
    since = timezone.now() - REPEATED_WITHIN
    found = same_content(change, request.system, request.body_sha256, since)
    if found is None:
        return None, request
    first, is_followed = found
    if not is_followed or _is_in_place(request, change, reference):
        return Answer(first.http_status, first.result or {}, is_replay=True), request
    if request.operation == IncomingKind.UPDATE or (request.operation == IncomingKind.ASSIGN and reference):
        note = f"{request.note} {SAID_BEFORE}".strip()
        return None, replace(request, comments=(), adds_own_comment=False, note=note)
    return None, request


def _is_in_place(request: IncomingRequest, change: Change, reference: ExternalReference | None) -> bool:
    """Whether the change and its reference are what the operation makes of them."""
    if request.operation == IncomingKind.REJECT:
        return reference is None
    said = {name: getattr(request, name) for name in ("external_url", "external_status")}
    said = {name: value for name, value in said.items() if value is not None}
    if reference is None and (said or request.external_id):
        return False
    return all(getattr(reference, name) == value for name, value in said.items()) and all(
        getattr(change, name) == value for name, value in request.properties.items()
    )


def created_before(request: IncomingRequest) -> Answer | None:
    """The first answer, if this Create repeats one that named no record of the partner's; None otherwise."""
    if not request.names_itself:
        return None  # a repetition meets the external id
    lock_origin(request.system.system_id, request.body_sha256)
    lately = {"operation": IncomingKind.CREATE, "received_at__gte": timezone.now() - REPEATED_WITHIN}
    same = IncomingOperation.objects.filter(body_sha256=request.body_sha256, **lately, **_of(request))
    return _answer_of(same.order_by("-received_at", "-pk").first(), request)


def _first_create(request: IncomingRequest) -> Answer | None:
    reference = ExternalReference.objects.filter(system=request.system, external_id=request.external_id).first()
    if reference is None:
        return None
    of_change = {"change": reference.change_id, "operation": IncomingKind.CREATE}
    return _answer_of(IncomingOperation.objects.filter(**of_change, **_of(request)).first(), request)


def _of(request: IncomingRequest) -> dict[str, Any]:
    return {"system": request.system, "status": IncomingStatus.APPLIED}


def _answer_of(first: IncomingOperation | None, request: IncomingRequest) -> Answer | None:
    """The answer to this operation if it had the same content."""
    if first is None or first.body_sha256 != request.body_sha256:
        return None
    return Answer(first.http_status, first.result or {}, is_replay=True)


def log_failure(
    user: Any,
    token: str,
    system: ExternalSystem | None,
    http_status: int,
    error: str,
    refusal: Mapping[str, Any] | None,
    payload: Mapping[str, Any],
    named: Mapping[str, Any],
    body_sha256: str,
    idempotency_key: str | None,
) -> None:
    """Logs a refused operation: its sender, its body and the error. A large body is cut; its hash is of the whole.

    Passwords are left out, and then the hash as well.

    `error` is what the partner is answered. `refusal`: the `kept` of a ChangeRefused, for the pages.
    `named`: what the body says of `operation`, `change_number` and `external_id`, which need not be valid.
    """
    operation = named.get("operation")
    change = _named_by(named, system) if system else None
    safe = without_passwords(payload)
    IncomingOperation.objects.create(
        system=system,
        user=user,
        token=token,
        operation=operation if operation in IncomingKind.values else "",
        status=IncomingStatus.FAILED,
        idempotency_key=idempotency_key,
        body_sha256=body_sha256 if safe == payload else "",  # a short password could be guessed by it
        payload=kept(safe),
        change=change,
        http_status=http_status,
        error=error,
        refusal=refusal,
        request_id=work.request_id(),
    )


def _named_by(named: Mapping[str, Any], system: ExternalSystem) -> Change | None:
    """The change that a failed operation names, or None if it names none that the partner may reach."""
    number, external_id = named.get("change_number"), named.get("external_id")
    reached = reachable([system])
    if isinstance(number, str):
        return reached.filter(number=number[:22]).first()
    if isinstance(external_id, str):
        own = {"external_references__system": system, "external_references__external_id": external_id[:255]}
        return reached.filter(**own).first()
    return None
