"""`POST /api/v1/operations/`: reads a partner's operation, passes it to `incoming`, and answers or logs the failure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError as InvalidModel
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from changes.api.exceptions import Conflict, Forbidden, Problem, Unavailable
from changes.api.parsers import check_has_length
from changes.api.problems import as_api_exception
from changes.conflicts import is_unavailable, is_undone
from changes.exceptions import ChangeRefused
from changes.validators import validate_identifier
from integrations import incoming
from integrations.incoming import OperationRefused
from integrations.json_text import KEPT_BYTES
from integrations.models import ExternalSystem

from .authentication import PartnerAuthentication, PartnerCaller
from .operation_serializers import OperationAnswerSerializer, OperationSerializer, valid_request

KEY_MAX_LENGTH = 255


class NoSuchChange(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"


_PROBLEMS = {problem.status_code: problem for problem in (Problem, Forbidden, NoSuchChange, Conflict)}


class OperationView(APIView):
    """Applies one operation of the partner that the token belongs to, as a whole or not at all."""

    authentication_classes = [PartnerAuthentication]
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
        sent = _Sent(request)
        try:
            answer = incoming.receive(sent.read())
        except (APIException, ChangeRefused, InvalidModel, OperationRefused) as error:
            problem = _problem(error)
            sent.log_failure(problem)
            raise problem from error
        except Exception as error:
            if not is_unavailable(error):
                # Our fault. The log shows that the operation was received; the error itself is raised again.
                sent.log_failure(APIException("internal error: see the server's log"))
                raise
            if not is_undone(error):
                raise  # the connection is lost: nothing can be written
            busy = Unavailable()
            sent.log_failure(busy)
            raise busy from error
        headers = {"Idempotent-Replayed": "true"} if answer.is_replay else {}
        return Response(answer.body, status=answer.http_status, headers=headers)


class _Sent:
    """A received request. Its attributes hold what has been read so far, for the log if the rest cannot be read."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.caller: PartnerCaller = request.auth  # type: ignore[assignment]
        self.system: ExternalSystem | None = None
        self.payload: Mapping[str, Any] = {}
        self.body_sha256 = ""
        self.key: str | None = None

    def read(self) -> incoming.IncomingRequest:
        """Reads and validates the operation. Raises an APIException if a field or the partner's right is at fault."""
        check_has_length(self.request)
        body = self._body()
        self.payload = _without_content(body)
        self.body_sha256 = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        self.system = self._authorized_system(body.get("system_id"))
        self.key = self._key("Idempotency-Key") or self._key("webhook-id")
        return replace(
            valid_request(body, self.system),
            token=self.caller.token,
            payload=self.payload,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
            message_id=self._key("webhook-id"),
        )

    def _body(self) -> Any:
        try:
            return self.request.data
        except APIException as error:
            if raw := getattr(error, "body", b""):
                text = raw[:KEPT_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
                self.payload = {"unreadable": text}
                self.body_sha256 = hashlib.sha256(raw).hexdigest()
            raise

    def _authorized_system(self, system_id: object) -> ExternalSystem:
        if not isinstance(system_id, str) or not system_id:
            message = "Name your system, as a JSON string."
            raise Problem(message, "required", {"system_id": message})
        _check_identifier("system_id", system_id)
        system = next((own for own in self.caller.systems if own.system_id == system_id), None)
        if system is None:
            raise PermissionDenied(
                "This token is not that of the system's authorized user. Check system_id, including upper/lower case."
            )
        if not system.enabled:
            raise PermissionDenied("This system is disabled here. Ask the service desk to enable it.")
        return system

    def _key(self, name: str) -> str | None:
        key = self.request.headers.get(name)
        if key is not None and not 0 < len(key) <= KEY_MAX_LENGTH:
            message = f"Give 1 to {KEY_MAX_LENGTH} characters."
            raise Problem(f"{name}: {message}", "invalid", {name: message})
        if key is not None:
            _check_identifier(name, key)
        return key

    def log_failure(self, problem: APIException) -> None:
        if not self.caller.systems:
            return  # nothing is logged for callers without a system
        incoming.log_failure(
            user=self.request.user,
            token=self.caller.token,
            system=self.system,
            http_status=problem.status_code,
            error=_as_text(problem),
            payload=self.payload,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
        )


def _check_identifier(name: str, text: str) -> None:
    try:
        validate_identifier(text)
    except InvalidModel as error:
        message = " ".join(error.messages)
        raise Problem(f"{name}: {message}", str(error.code), {name: message}) from error


def _problem(error: Exception) -> APIException:
    if isinstance(error, OperationRefused):
        return _PROBLEMS[error.status](error.detail, error.code, error.errors)
    problem = as_api_exception(error, prefix="properties.")
    return problem if isinstance(problem, APIException) else Problem(str(problem))


def _as_text(problem: APIException) -> str:
    """One line for people: the errors with the paths of their fields."""
    text = getattr(problem, "summary", None) or json.dumps(problem.detail, ensure_ascii=False, default=str)
    # The name of an unknown field may contain characters that cannot be stored; escape them.
    return str(text)[:4000].encode(errors="backslashreplace").decode().replace("\x00", "\\x00")


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
