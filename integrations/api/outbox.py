"""`/api/v1/outbox/`: a partner that pulls collects its operations and acknowledges them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from changes.api.exceptions import Conflict, Problem
from changes.api.fields import IdentifierField, LineField, StrictSerializer, TextField
from changes.api.views import ApiView
from changes.validators import validate_web_address
from changes.waiting import CAN_WAIT, HAS_WAITED, Keys, Wait, later
from integrations.choices import Delivery, DeliveryStatus
from integrations.models import ExternalReference, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox, payloads
from integrations.outgoing.outbox import Acknowledgement, Cursor, HandOut, UnknownCursor

from .authentication import PartnerCaller
from .changes import ExternalReferenceSerializer
from .operations import authorized_system
from .permissions import partner_systems

DEFAULT_LIMIT, MOST = 100, 500
LONGEST_WAIT = 30
# How often a call that waits looks for operations, where the server cannot let go of its thread. In seconds.
LOOK_AGAIN = 0.25


PARAMETERS = [
    OpenApiParameter("after", str, description="`cursor` of your last answer. Without it you are a new reader."),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT},
        description="The most operations to hand out.",
    ),
    OpenApiParameter(
        "wait",
        {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        description="Seconds to wait for an operation if there is none.",
    ),
    OpenApiParameter("system_id", str, description="Your system, if your token speaks for several that pull."),
]


class NoSuchOperation(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"


class CollectedSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True, help_text="Where more can be had at once; null if there is no more.")
    previous = serializers.CharField(allow_null=True, help_text="Always null.")
    cursor = serializers.CharField(allow_null=True, help_text="For `after` of your next call.")
    results = serializers.ListField(child=serializers.DictField(), help_text="The operations, in order.")


class RecordSerializer(StrictSerializer):
    """What an acknowledgement says of the partner's record; or why the partner refuses the operation."""

    external_id = IdentifierField(required=False, max_length=255)
    external_url = TextField(required=False, allow_blank=True, max_length=1000, validators=[validate_web_address])
    external_status = LineField(required=False, allow_blank=True, max_length=200)
    refused = LineField(
        required=False, max_length=500, help_text="Why you refuse the operation. It then waits for a person here."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        said = [name for name in attrs if name not in ("id", "refused")]
        if "refused" in attrs and said:
            message = f"Leave it out: an operation that is refused leaves the reference as it is ({', '.join(said)})."
            raise serializers.ValidationError({"refused": message})
        return attrs


class AcknowledgedSerializer(RecordSerializer):
    id = serializers.UUIDField()


class AcknowledgementsSerializer(StrictSerializer):
    operations = AcknowledgedSerializer(many=True, min_length=1, max_length=MOST)  # type: ignore[call-arg]

    def validate_operations(self, said: list[dict[str, Any]]) -> list[dict[str, Any]]:
        twice = [str(pk) for pk, count in Counter(one["id"] for one in said).items() if count > 1]
        if twice:
            raise serializers.ValidationError(f"Named more than once: {', '.join(twice)}.")
        return said


class AcknowledgementAnswerSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    status = serializers.ChoiceField([DeliveryStatus.DELIVERED.value, DeliveryStatus.REFUSED.value])
    external_reference = ExternalReferenceSerializer(allow_null=True)


class RefusalSerializer(serializers.Serializer):
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()


class OneOfManySerializer(serializers.Serializer):
    """An acknowledgement that counted, with the fields of its own answer; or `error`."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField([DeliveryStatus.DELIVERED.value, DeliveryStatus.REFUSED.value], required=False)
    external_reference = ExternalReferenceSerializer(allow_null=True, required=False)
    error = RefusalSerializer(required=False)


class AcknowledgementAnswersSerializer(serializers.Serializer):
    results = OneOfManySerializer(many=True)


class OutboxAccess(BasePermission):
    """Access for the authorized users of enabled systems."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        caller: PartnerCaller = request.auth  # type: ignore[assignment]
        if not any(system.enabled for system in caller.systems):
            partner_systems(request.user, are_staff_let_in=False)  # raises the error that says why
        view.systems = [system for system in caller.systems if system.enabled]
        return True


class OutboxView(ApiView):
    """Base of the calls of a partner that pulls. `systems`: the enabled ones whose authorized user calls."""

    is_for_partners = True
    permission_classes = [OutboxAccess]
    systems: list[ExternalSystem]


class CollectView(OutboxView):
    """Hands operations out. A GET, as the contract has it, though it takes them: see outbox/collecting.py."""

    http_method_names = ["get"]
    query_parameters = frozenset({"after", "limit", "wait", "system_id"})
    summaries = {"GET": "Collect your operations (partners)"}
    problems = {"GET": (409,)}

    @extend_schema(operation_id="outbox_list", responses=CollectedSerializer, parameters=PARAMETERS)
    def get(self, request: Request) -> HttpResponse:
        limit = _number(request, "limit", DEFAULT_LIMIT, 1, MOST)
        wait = _number(request, "wait", 0, 0, LONGEST_WAIT)
        system = self._system(request)
        try:
            cursor = _cursor(request)
            given = outbox.hand_out(system, cursor, limit)
            if not given.operations and wait and not request.META.get(HAS_WAITED):
                if request.META.get(CAN_WAIT):
                    return later(Wait((system.pk, cursor), system.pk, wait, _ready))
                given = _waited(system, cursor, limit, wait)
        except UnknownCursor as error:
            raise _unknown_cursor() from error
        return HttpResponse(_body(request, given), content_type="application/json")

    def _system(self, request: Request) -> ExternalSystem:
        """The system whose operations are collected. Raises an APIException."""
        name = request.query_params.get("system_id")
        pulling = [system for system in self.systems if system.delivery == Delivery.PULL]
        if name is not None:
            pulling = [authorized_system(request, name)]
        if len(pulling) > 1:
            names = ", ".join(system.system_id for system in pulling)
            message = f"This token speaks for several systems: name one of them ({names})."
            raise Problem(message, "required", {"system_id": message})
        if not pulling or pulling[0].delivery != Delivery.PULL:
            raise Conflict("This system does not pull: its operations are delivered another way.", "not_pull")
        return pulling[0]


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and least <= int(text) <= most):
        raise ValidationError({name: [f"Give a whole number from {least} to {most}."]})
    return int(text)


def _cursor(request: Request) -> Cursor | None:
    text = request.query_params.get("after", "")
    return Cursor.read(text) if text else None


def _unknown_cursor() -> Problem:
    message = "Not a cursor of this system: take it from `cursor` of an answer, or leave it out."
    return Problem(message, "unknown_cursor", {"after": message})


def _ready(keys: Keys) -> Keys:
    """Those of these systems and cursors for which there is something."""
    return [(system, cursor) for system, cursor in keys if outbox.has_something(system, cursor)]


def _waited(system: ExternalSystem, cursor: Cursor | None, limit: int, seconds: float) -> HandOut:
    """Waits in this thread, for a server that cannot let go of it. It holds no database connection meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not connection.in_atomic_block:
            connection.close()
        time.sleep(min(LOOK_AGAIN, left))
        if outbox.has_something(system.pk, cursor):
            break
    return outbox.hand_out(system, cursor, limit)


def _body(request: Request, given: HandOut) -> bytes:
    cursor = str(given.cursor) if given.cursor else None
    more = replace_query_param(request.build_absolute_uri(), "after", cursor) if given.has_more else None
    head = json.dumps({"next": more, "previous": None, "cursor": cursor}, separators=(",", ":"))
    messages = b",".join(outbox.body(operation) for operation in given.operations)
    return b'%s,"results":[%s]}' % (head[:-1].encode(), messages)


# --- Acknowledging ---


class AcknowledgeView(OutboxView):
    """Takes the acknowledgement of one operation."""

    http_method_names = ["post"]
    write_serializer_class = RecordSerializer
    summaries = {"POST": "Acknowledge an operation (partners)"}
    problems = {"POST": (409,)}

    @extend_schema(operation_id="outbox_acknowledge", responses=AcknowledgementAnswerSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        said = _acknowledgement(pk, self.validated(request).validated_data)
        found = outbox.acknowledge(self.systems, [said]).get(pk)
        answer, problem = _answers(self.systems, [said], {pk: found} if found else {})[0]
        if problem:
            raise problem
        return Response(answer)


class AcknowledgeManyView(OutboxView):
    """Takes the acknowledgements of many operations. Each counts by itself."""

    http_method_names = ["post"]
    write_serializer_class = AcknowledgementsSerializer
    summaries = {"POST": "Acknowledge many operations (partners)"}

    @extend_schema(operation_id="outbox_acknowledge_many", responses=AcknowledgementAnswersSerializer)
    def post(self, request: Request) -> Response:
        sent = self.validated(request).validated_data["operations"]
        said = [_acknowledgement(one["id"], one) for one in sent]
        found = outbox.acknowledge(self.systems, said)
        answers = []
        for one, (answer, problem) in zip(said, _answers(self.systems, said, found), strict=True):
            answers.append({"id": str(one.id), **answer} if problem is None else _refusal(one, problem))
        return Response({"results": answers})


def _acknowledgement(pk: UUID, said: Mapping[str, Any]) -> Acknowledgement:
    named = {name: said[name] for name in ("external_id", "external_url", "external_status") if name in said}
    return Acknowledgement(pk, named, said.get("refused", ""))


def _answers(
    systems: Sequence[ExternalSystem], said: Sequence[Acknowledgement], found: Mapping[UUID, OutgoingOperation]
) -> list[tuple[dict[str, Any], Problem | None]]:
    """For each acknowledgement the answer, or the problem."""
    changes = {operation.change_id for operation in found.values()}
    references = {
        (one.change_id, one.system_id): one
        for one in ExternalReference.objects.filter(change__in=changes, system__in=systems)
    }
    names = {system.pk: system for system in systems}
    answers: list[tuple[dict[str, Any], Problem | None]] = []
    for one in said:
        operation = found.get(one.id)
        if operation is None or operation.status != one.status:
            answers.append(({}, _problem(one, operation)))
            continue
        reference = references.get((operation.change_id, operation.system_id))
        if reference:
            reference.system = names[reference.system_id]
        shown = payloads.reference_snapshot(reference) if reference else None
        answers.append(({"id": str(one.id), "status": operation.status, "external_reference": shown}, None))
    return answers


def _problem(said: Acknowledgement, operation: OutgoingOperation | None) -> Problem:
    if operation is None:
        return NoSuchOperation("There is no such operation, or it is not yours.")
    if not operation.claim:
        return Conflict("This operation was not handed out to you.", "not_handed_out")
    if not operation.is_settled and operation.status != DeliveryStatus.REFUSED:
        told = (
            "An earlier operation of this change was refused. This one waits until a person has retried or skipped it."
        )
        return Conflict(told, "behind_refused")
    told = f"This operation is {operation.status} here already: nothing was changed."
    return Conflict(told, f"is_{operation.status.lower()}")


def _refusal(said: Acknowledgement, problem: Problem) -> dict[str, Any]:
    error = {"status": problem.status_code, "code": problem.detail.code, "detail": problem.summary}
    return {"id": str(said.id), "error": error}
