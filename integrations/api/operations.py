"""`POST /api/v1/operations/`: reads a partner's operation, passes it to `incoming`, and answers or logs the failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from changes.api.exceptions import Problem
from changes.api.json_scan import Scan
from changes.api.parsers import StrictJSONParser, check_has_length
from integrations import incoming
from integrations.models import ExternalSystem

from .authentication import PartnerCaller
from .operation_serializers import OperationAnswerSerializer, OperationSerializer, valid_request
from .sent import Sent, apply, check_identifier


class OperationParser(StrictJSONParser):
    """Parses an operation. The content of its attachments comes on top of the limit for a body."""

    excluded = ("attachments", "content_base64")

    def max_bytes(self) -> int:
        return settings.API_REQUEST_MAX_BYTES

    def check_scanned(self, found: Scan, context: Mapping[str, Any]) -> None:
        authorized_system(context["request"], found.texts.get("system_id"))


class OperationView(APIView):
    """Applies one operation of the partner that the token belongs to, as a whole or not at all."""

    is_for_partners = True
    parser_classes = [OperationParser]
    summaries = {"POST": "Send an operation (partners)"}
    problems = {"POST": (404, 409, 422)}

    @extend_schema(
        operation_id="operations_create",
        request=OperationSerializer,
        responses={200: OperationAnswerSerializer, 201: OperationAnswerSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="Up to 255 characters, unique per system. Without it, `webhook-id` is used. "
                "A repeat gets the first answer again, with `Idempotent-Replayed: true`.",
            )
        ],
    )
    def post(self, request: Request) -> Response:
        answer = apply(SentOperation(request))
        headers = {"Idempotent-Replayed": "true"} if answer.is_replay else {}
        return Response(answer.body, status=answer.http_status, headers=headers)


class SentOperation(Sent):
    """An operation as JSON."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        caller: PartnerCaller = request.auth  # type: ignore[assignment]
        self.token, self.is_logged = caller.token, bool(caller.systems)
        self.payer = next(iter(caller.systems), None)

    def read(self) -> incoming.IncomingRequest:
        """Reads and validates the operation. Raises an APIException if a field or the partner's right is at fault."""
        check_has_length(self.request)
        body = self._body()
        self.payload = _without_content(body)
        self.body_sha256 = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        self.system = authorized_system(self.request, body.get("system_id"))
        self.key = self.header("Idempotency-Key") or self.header("webhook-id")
        operation = valid_request(body, self.system)
        # Of an attachment its content, which is three quarters of its base64.
        content = sum(sent["file"].size for sent in operation.attachments)
        self.bytes_to_store = int(self.request.META.get("CONTENT_LENGTH") or 0) - content // 3
        return replace(
            operation,
            token=self.token,
            payload=self.payload,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
            message_id=self.header("webhook-id"),
        )

    def _body(self) -> Any:
        try:
            return self.request.data
        except APIException as error:
            if raw := getattr(error, "body", b""):
                self.keep_unreadable(raw)
            raise


def authorized_system(request: Request, system_id: object, name: str = "system_id") -> ExternalSystem:
    """The caller's system of this id, which the call has under `name`. Raises Problem or PermissionDenied."""
    if not isinstance(system_id, str) or not system_id:
        message = "Name your system, as a JSON string."
        raise Problem(message, "required", {name: message})
    check_identifier(name, system_id)
    caller: PartnerCaller = request.auth  # type: ignore[assignment]
    system = next((own for own in caller.systems if own.system_id == system_id), None)
    if system is None:
        raise PermissionDenied(
            f"The caller is not the system's authorized user. Check {name}, including upper/lower case."
        )
    if not system.enabled:
        raise PermissionDenied("This system is disabled here. Ask the service desk to enable it.")
    return system


def _without_content(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body for the log, without the content of attachments, which is stored with the attachments."""
    attachments = body.get("attachments")
    if not isinstance(attachments, list):
        return dict(body)
    kept = [
        {name: value for name, value in item.items() if name != "content_base64"} if isinstance(item, dict) else item
        for item in attachments
    ]
    return {**body, "attachments": kept}
