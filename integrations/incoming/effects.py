"""The effects of an incoming operation: the table of section 4 of the rules, then comments and attachments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.utils import timezone

from changes.choices import CompletionCode, Phase, TextFormat
from changes.models import Attachment, Change, Comment
from integrations.choices import IncomingKind
from integrations.models import Exchange, ExternalReference, ExternalSystem
from integrations.outgoing import outbox

from . import quota
from .allowed import refuse_forbidden
from .request import IncomingRequest, OperationRefused

ASSIGNED_COMMENT = "Change was assigned locally from external system"
REJECTED_COMMENT = "Change was rejected by the external fulfillment system"


def new_change(request: IncomingRequest) -> Change:
    """Creates and saves the change of a Create, requested by the partner's authorized user."""
    change = Change(requested_by=request.system.authorized_user)
    refuse_forbidden(request, change)
    _set_properties(change, request.properties)
    change.save()
    return change


def carry_out(
    request: IncomingRequest, change: Change, reference: ExternalReference | None, stored: list[Attachment]
) -> ExternalReference | None:
    """Carries out section 4's table, then adds the comments and attachments.

    Returns the external reference afterwards, None if there is none. Appends each attachment to `stored` before saving
    it, so that the caller can discard its file on a failure.
    """
    is_news = True
    if request.operation != IncomingKind.CREATE:
        refuse_forbidden(request, change)
    if request.operation == IncomingKind.UPDATE:
        _set_properties(change, request.properties)
        change.save()
    elif request.operation == IncomingKind.CANCEL:
        is_news = _cancel(change)
    if request.operation == IncomingKind.REJECT:
        _reject(request.system, change)
    _add(request, change, stored)
    # References last, by the order of locks: recording operations, above, locks exchanges, which come before them.
    if request.operation == IncomingKind.REJECT:
        if reference:
            reference.delete()
        return None
    return _keep_reference(request, change, reference, is_news)


def _set_properties(change: Change, properties: Mapping[str, Any]) -> None:
    """Sets the fields, then makes the transition if a phase other than the current one is asked for."""
    for name, value in properties.items():
        if name != "phase":
            setattr(change, name, value)
    target = properties.get("phase")
    if target is not None and target != change.phase:
        change.move_to(target)


def _cancel(change: Change) -> bool:
    """Withdraws and abandons the change. Returns False, changing nothing, if it was withdrawn and abandoned already."""
    if change.completion_code == CompletionCode.WITHDRAWN and change.phase == Phase.ABANDON:
        return False
    change.completion_code = CompletionCode.WITHDRAWN
    change.move_to(Phase.ABANDON)
    change.save()
    return True


def _reject(system: ExternalSystem, change: Change) -> None:
    # Locks all exchanges of the change in the order of locks: the comment that is added next may lock the others.
    exchanges = list(Exchange.objects.filter(change=change).order_by("pk").select_for_update(no_key=True))
    own = [exchange for exchange in exchanges if exchange.system_id == system.pk]
    exchange = own[0] if own else Exchange(change=change, system=system)
    exchange.state = exchange.state.after_reject()
    exchange.save()
    outbox.skip_rejected(exchange, timezone.now())


def _keep_reference(
    request: IncomingRequest, change: Change, reference: ExternalReference | None, is_news: bool
) -> ExternalReference | None:
    """Stores what the partner says of its record. `is_news`: "last heard of" becomes now even if nothing else changes.

    Returns the reference, None if there is none. Raises OperationRefused if a new reference lacks its external id.
    """
    if reference is None:
        external_id = request.external_id or (_own_id(request, change) if request.names_itself else "")
        if not external_id:
            if request.external_status is not None or request.external_url is not None:
                raise OperationRefused(
                    400,
                    "required",
                    "There is no external reference yet: send the external_id too.",
                    "external_id",
                )
            return None
        reference = ExternalReference(change=change, system=request.system, external_id=external_id)
        is_news = True
    for name in ("external_url", "external_status"):
        said = getattr(request, name)
        if said is not None and said != getattr(reference, name):
            setattr(reference, name, said)
            is_news = True
    if is_news:
        reference.save()
    return reference


def _own_id(request: IncomingRequest, change: Change) -> str:
    """Our id of the change, to stand for a record of the partner that it does not name. The number if that is taken."""
    own = str(change.pk)
    is_taken = ExternalReference.objects.filter(system=request.system, external_id=own).exists()
    return change.number if is_taken else own


def _add(request: IncomingRequest, change: Change, stored: list[Attachment]) -> None:
    author = request.system.authorized_user
    own = {IncomingKind.ASSIGN: ASSIGNED_COMMENT, IncomingKind.REJECT: REJECTED_COMMENT}.get(request.operation)
    if own and request.adds_own_comment:
        Comment(change=change, author=author, body=own).save()
    for sent in _new(request.comments, change):
        comment = Comment(
            change=change,
            author=author,
            author_name=sent["author"],
            body=sent["body"],
            visibility=sent["visibility"],
            format=TextFormat.MARKDOWN if request.system.sends_markdown else TextFormat.PLAIN,
        )
        comment.save()
        _after(sent, comment)
    attachments = list(_new(request.attachments, change))
    if size := sum(sent["file"].size for sent in attachments if not sent.get("is_stored")):
        quota.take(request.system, size)
    for sent in attachments:
        attachment = Attachment(
            change=change,
            author=author,
            file=sent["file"],
            file_name=sent["file_name"],
            content_type=sent["content_type"],
        )
        if not sent.get("is_stored"):
            stored.append(attachment)
        attachment.save()
        _after(sent, attachment)


def _new(additions: Iterable[Mapping[str, Any]], change: Change) -> Iterator[Mapping[str, Any]]:
    """Those that the change does not have yet, looked up one by one: the same may be sent twice."""
    return (sent for sent in additions if not ("unless" in sent and sent["unless"](change)))


def _after(sent: Mapping[str, Any], addition: Comment | Attachment) -> None:
    if "then" in sent:
        sent["then"](addition)
