"""Tries a document out: what it would send, without sending, and what it does with a test record, for real."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from changes.choices import ChangeType, Visibility
from changes.models import Change, SupportGroup
from integrations.choices import Operation
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation
from integrations.outgoing import delivery, outbox, payloads
from integrations.outgoing.sending import ANSWER_KEPT, keep_answer
from integrations.transports.base import Response, TransportError

from .calling import Line, no_answer
from .evaluation.auth import AuthRefused
from .evaluation.connection import Connection
from .evaluation.conversation import Conversation, names_of
from .secrets import secrets_of
from .templating.faults import EvaluationFailed


@dataclass(frozen=True)
class Tried:
    """One step that was tried. `call`: the request for people, "" if there is none, and then `why` says why.

    `answer`: what the partner answered, if the call was made.
    """

    step: str
    call: str = ""
    why: str = ""
    answer: str = ""
    status: int | None = None
    is_fault: bool = False


class Rehearsal(Conversation):
    """A conversation without a partner: each step is answered as it was once, or is taken to succeed."""

    def rehearsed(self, line: Line, answers: Mapping[str, Response]) -> Iterator[Tried]:
        while True:
            before = self._place
            try:
                call = self.next_call()
            except EvaluationFailed as error:
                yield from self._left_out(before)
                yield Tried(self._steps[self._place].name, why=str(error), is_fault=True)
                return
            yield from self._left_out(before)
            if call is None:
                return
            yield Tried(call.step, pretty(line.shown(call)))
            answer = answers.get(call.step)
            if answer is None:
                self._assume()
                continue
            verdict = self.answered(answer)
            if verdict.outcome is not None:
                yield Tried(call.step, why=verdict.error, is_fault=True)
                return

    def _left_out(self, before: int) -> Iterator[Tried]:
        for step in self._steps[before : self._place]:
            is_done = step.once and step.name in self.done
            why = _("It was done before.") if is_done else _("Left out: its condition (when) is false.")
            yield Tried(step.name, why=why)

    def _assume(self) -> None:
        """Takes the step to have succeeded. What it would name has a stand-in, unless a later step would make it."""
        step, later = self._steps[self._place], self._steps[self._place + 1 :]
        names = [key for key in step.result if not any(key in each.result for each in later)]
        remembered = {
            "result": {key: f"{key}-of-{step.name}" for key in names if not self._names.get(key)},
            "saved": {key: f"{key}-of-{step.name}" for key in step.save},
        }
        self._take(step, remembered)
        if step.once:
            self.done[step.name] = remembered
        self._place += 1


# --- Without sending ---


def rehearse(
    connection: Connection,
    system: ExternalSystem,
    message: Mapping[str, Any],
    answers: Mapping[str, Response] | None = None,
) -> list[Tried]:
    """The calls that this message becomes by the document. Nothing is sent."""
    operation = str(message["operation"])
    if operation not in connection.outgoing:
        return []
    secrets = {name: name for name in connection.secret_names}  # shown masked, whatever they are
    rehearsal = Rehearsal(connection, operation, names_of(message, timezone.now()), secrets)
    return [*rehearsal.rehearsed(Line(connection, secrets), answers or {})]


# What an Update is tried with, if the change has none of its own.
COMMENT = {"id": 0, "body": "This is a comment.", "author": "alice", "created_at": "2026-01-31T12:00:00Z"}
ATTACHMENT = {
    "id": 0,
    "file_name": "Übersicht.pdf",
    "content_type": "application/pdf",
    "size": 1,
    "sha256": "",
    "url": "",
}


class Occasion(TextChoices):
    """What a document is tried with: an operation, and what an Update brings."""

    ASSIGN = "Assign", "Assign"
    ACCEPT = "Accept", "Accept"
    CANCEL = "Cancel", "Cancel"
    COMMENT = "Update", gettext_lazy("Update: a comment")
    FILE = "Update-file", gettext_lazy("Update: a file")


def message_of(change: Change, system: ExternalSystem, occasion: str) -> dict[str, Any]:
    """The message as if it were recorded now, with the latest comment or file that did not come from the system."""
    reference = change.external_references.filter(system=system).select_related("system").first()
    comment = attachment = None
    if occasion == Occasion.COMMENT:
        ours = change.comments.filter(visibility=Visibility.PUBLIC).exclude(source_system=system.system_id)
        last = ours.order_by("-created_at").first()
        comment = payloads.comment_snapshot(last) if last else COMMENT
    elif occasion == Occasion.FILE:
        file = change.attachments.exclude(source_system=system.system_id).order_by("-created_at").first()
        attachment = payloads.attachment_snapshot(file, settings.BASE_URL) if file else ATTACHMENT
    return {
        "operation": Operation.UPDATE.value if comment or attachment else occasion,
        "system_id": system.system_id,
        "origin": None,
        "external_reference": payloads.reference_snapshot(reference) if reference else None,
        "change": payloads.change_snapshot(change, [reference] if reference else []),
        "changed_fields": {},
        "comment": comment,
        "attachment": attachment,
    }


@dataclass(frozen=True)
class Replayed:
    """One real operation through two documents. `is_same`: whether both make the same calls of it."""

    operation: OutgoingOperation
    active: list[Tried]
    draft: list[Tried]

    @property
    def is_same(self) -> bool:
        return self.active == self.draft


def replay(system: ExternalSystem, active: Connection, draft: Connection, count: int) -> list[Replayed]:
    """The latest operations through both documents, with the answers that their calls had. Nothing is sent."""
    found = OutgoingOperation.objects.filter(system=system).with_system("cause__system", "snapshot_of", "change")
    operations = [each for each in found.order_by("-created_at", "-id")[:count] if "change" in each.whole_payload]
    references, answers = outbox.references_of(operations), _answers_of(operations)
    replayed = []
    for operation in operations:
        message, answered = outbox.message(operation, references), answers.get(operation.pk, {})
        if any(step in answered for step in _steps_that_find(active, operation.operation)):
            message["external_reference"] = None  # the partner named its record only then
        sides = [rehearse(connection, system, message, answered) for connection in (active, draft)]
        replayed.append(Replayed(operation, *sides))
    return replayed


def _steps_that_find(connection: Connection, operation: str) -> list[str]:
    return [step.name for step in connection.outgoing.get(operation, ()) if "external_id" in step.result]


def _answers_of(operations: Sequence[OutgoingOperation]) -> dict[UUID, dict[str, Response]]:
    """The latest answer to each step of each operation. One that was not kept as a whole cannot be used."""
    rows = DeliveryAttempt.objects.filter(operation__in=operations, http_status__isnull=False).exclude(step="")
    found: dict[UUID, dict[str, Response]] = {}
    for row in rows.order_by("started_at", "id"):
        if row.http_status and len(row.answer) < ANSWER_KEPT:
            found.setdefault(row.operation_id, {})[row.step] = Response(row.http_status, {}, row.answer.encode())
    return found


# --- With a test record, for real ---


def test_message(system: ExternalSystem, group: SupportGroup | None, user: Any, now: datetime) -> dict[str, Any]:
    """An Assign of a change that does not exist here: it is only made at the partner."""
    change = Change(
        number=f"TEST{now:%y%m%d%H%M%S}",
        title=f"Test of the exchange with {system}: please ignore",
        description="This record tests a connection between two service desks. Nothing is to be done.",
        change_type=ChangeType.STANDARD,
        requested_by=user,
        owning_group=group,
        created_at=now,
        updated_at=now,
    )
    return {
        "operation": Operation.ASSIGN.value,
        "system_id": system.system_id,
        "origin": None,
        "external_reference": None,
        "change": payloads.change_snapshot(change, []),
        "changed_fields": {},
        "comment": None,
        "attachment": None,
    }


@dataclass(frozen=True)
class Ran:
    """The calls that were made for a test record, and what the partner named of it."""

    steps: list[Tried]
    reference: dict[str, str]

    @property
    def failed(self) -> Tried | None:
        return next((step for step in self.steps if step.is_fault), None)


def run(connection: Connection, system: ExternalSystem, message: Mapping[str, Any]) -> Ran:
    """Makes the calls of the document for a test record: its Assign, and then its Cancel. Keeps nothing here."""
    line = Line(connection, secrets_of([system.pk])[system.pk])
    done: list[Tried] = []
    reference: dict[str, str] = {}
    for operation in (Operation.ASSIGN.value, Operation.CANCEL.value):
        if operation not in connection.outgoing:
            done.append(Tried(operation, why=_("The document has no steps for it.")))
            continue
        names = {**names_of({**message, "operation": operation}, timezone.now()), **reference}
        conversation = Conversation(connection, operation, names, line.secrets)
        steps, found = _run(line, conversation, operation)
        done += steps
        reference |= found
        if steps and steps[-1].is_fault and not reference.get("external_id"):
            break  # nothing was made there, so nothing has to be withdrawn
    return Ran(done, reference)


def _run(line: Line, conversation: Conversation, operation: str) -> tuple[list[Tried], dict[str, str]]:
    done: list[Tried] = []
    found: dict[str, str] = {}
    token = ""
    try:
        if line.connection.auth.has_token:
            token = token_for(line)
        while call := conversation.next_call():
            name, shown = f"{operation}, {call.step}", line.masked(line.shown(call), token)
            try:
                response = delivery.call(line.request(call, token))
            except TransportError as error:
                done.append(Tried(name, pretty(shown), no_answer(error), is_fault=True))
                return done, found
            attempt = DeliveryAttempt()
            keep_answer(attempt, response)
            verdict = conversation.answered(response)
            found |= verdict.result
            answer, why = line.masked(attempt.answer, token), line.masked(verdict.error, token)
            done.append(Tried(name, pretty(shown), why, answer, response.status, verdict.outcome is not None))
            if verdict.outcome is not None:
                return done, found
    except TransportError as error:
        done.append(Tried(operation, why=no_answer(error), is_fault=True))
    except (EvaluationFailed, AuthRefused) as error:
        done.append(Tried(operation, why=line.masked(str(error), token), is_fault=True))
    except delivery.HeldBack as held:
        done.append(Tried(operation, why=str(held), is_fault=True))
    return done, found


@sensitive_variables("request")
def token_for(line: Line, timeout: float | None = None) -> str:
    """A token for this test alone: that of the active document belongs to another desk, perhaps.

    `timeout`: seconds, if they are to be fewer than for a delivery. Raises AuthRefused, EvaluationFailed,
    TransportError or delivery.HeldBack.
    """
    request, _shown = line.sign_in()
    if timeout is not None:
        request = replace(request, timeout=timeout)
    return line.connection.auth.token_of(delivery.call(request)).value


def pretty(call: str) -> str:
    """The call with a line for each key of a JSON body, so that people see what differs."""
    head, blank, body = call.partition("\n\n")
    try:
        return f"{head}{blank}{json.dumps(json.loads(body), indent=2, ensure_ascii=False)}"
    except ValueError:
        return call


def told(tried: list[Tried]) -> str:
    """The calls as one text, to compare two documents line by line."""
    return "\n\n".join(f"# {one.step}\n{one.call or one.why}" for one in tried)
