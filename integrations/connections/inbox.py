"""`POST /api/v1/inbox/{system_id}/`: takes a partner's own webhooks, as its connection's document says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from rest_framework.exceptions import APIException, AuthenticationFailed, Throttled
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from changes.api.exceptions import Forbidden, Problem, TooLarge
from changes.api.on_hold import refuse_calls
from changes.api.parsers import check_has_length
from changes.api.throttling import address_of, count_failure, count_more, refuse_many_failures
from integrations.api.authentication import BearerAuthentication
from integrations.choices import Delivery
from integrations.fields import Undecryptable
from integrations.incoming import Answer
from integrations.models import ConnectionInbox, ExternalSystem

from . import news
from .evaluation import inbox_rules
from .evaluation.connection import Connection
from .evaluation.operations import Operation
from .evaluation.shapes import Verification
from .revisions import connection_of_revision
from .secrets import secrets_of
from .templating.faults import EvaluationFailed, FaultyDocument

# One answer for all that was not verified: an outsider learns neither ids nor what is set up here.
NOT_VERIFIED = "This call was not verified. Check the address, and the secret, token or password that both sides have."


class RawParser(BaseParser):
    """Leaves the body as it came: its signature is over its bytes."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read()


class InboxView(APIView):
    """Takes what a partner's webhook says. What the document makes no operation of is answered 202 and counted."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []  # counted below, by the system that was verified
    parser_classes = [RawParser]
    is_for_partners = True
    schema = None

    def post(self, request: Request, system_id: str) -> Response:
        refuse_many_failures(request)
        refuse_calls()
        body = _body_of(request)
        try:
            system, number, connection = self._verified(request, system_id, body)
        except AuthenticationFailed:
            count_failure(request)
            raise
        request.user = system.authorized_user
        request.token_digest = f"inbox:{system.pk}"  # type: ignore[attr-defined]
        count_more(request)
        if not system.enabled:
            raise Forbidden("This system is disabled here. Ask the service desk to enable it.")
        way = f"inbox, revision {number}"
        try:
            found = inbox_rules.operations_of(connection, _headers(request), body)
        except EvaluationFailed as error:
            news.log_unusable(system, way, None, body.decode(errors="replace"), str(error))
            raise Problem(str(error), "unusable") from error
        if not found:
            _count(system, "unmatched")
            return Response({"operations": []}, status=202)
        answers = self._answers(system, way, found)
        return Response({"operations": [_said(answer) for answer in answers], **_record(answers)})

    def _answers(self, system: ExternalSystem, way: str, found: list[Operation]) -> list[Answer]:
        """The answer to each. If any is refused, the others are carried out, and then the first refusal is raised.

        The partner sends the webhook again: then those that were carried out are known by their keys.
        """
        answers, refusals = [], []
        for key, made in found:
            try:
                answers.append(news.first_answer(system, key) or news.take(system, way, key, made))
            except APIException as error:
                if isinstance(error, Throttled) or error.status_code >= 500:
                    raise
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return answers

    # --- Who calls ---

    def _verified(self, request: Request, system_id: str, body: bytes) -> tuple[ExternalSystem, int, Connection]:
        """Raises AuthenticationFailed."""
        systems = ExternalSystem.objects.select_related("authorized_user")
        system = systems.filter(system_id=system_id, delivery=Delivery.MAPPED, connection__isnull=False).first()
        if system is None:
            raise AuthenticationFailed(NOT_VERIFIED)
        try:
            number, connection = connection_of_revision(system.connection_id)
        except FaultyDocument as error:
            raise APIException("The connection's document has faults: see its page.") from error
        inbox = connection.inbox
        if inbox is None or not self._is_verified(request, system, connection, inbox.verify, body):
            _count(system, "unverified")
            raise AuthenticationFailed(NOT_VERIFIED)
        return system, number, connection

    def _is_verified(
        self, request: Request, system: ExternalSystem, connection: Connection, verify: Verification, body: bytes
    ) -> bool:
        if verify.kind == "token":
            return self._has_token(request, system, verify.in_query)
        secrets = secrets_of([system.pk])[system.pk]
        secrets = {name: value for name, value in secrets.items() if not isinstance(value, Undecryptable)}
        return inbox_rules.verified(connection, secrets, _headers(request), body)

    def _has_token(self, request: Request, system: ExternalSystem, in_query: bool) -> bool:
        asked = BearerAuthentication()
        asked.is_for_partners, asked.address = True, address_of(request)
        given = request.query_params.get("token") if in_query else None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = token.strip()
        if not given:
            return False
        try:
            _user, caller = asked.authenticate_credentials(given.encode())
        except AuthenticationFailed:
            return False
        return any(own.pk == system.pk for own in caller.systems)

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _said(answer: Answer) -> dict[str, Any]:
    return {name: answer.body.get(name) for name in ("id", "operation", "status")} | {"repeated": answer.is_replay}


def _record(answers: Sequence[Answer]) -> dict[str, str]:
    """Our record, as a partner that is pushed to describes its own: for one that pushes to us."""
    change = next((change for answer in reversed(answers) if (change := answer.body.get("change"))), None)
    if change is None:
        return {}
    url = reverse("changes:detail", args=[change["number"]])
    return {
        "external_id": change["number"],
        "external_url": f"{settings.BASE_URL.rstrip('/')}{url}",
        "external_status": change["phase"],
    }


def _body_of(request: Request) -> bytes:
    check_has_length(request)
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.API_BODY_MAX_BYTES:
        raise TooLarge(f"The request is too large: at most {settings.API_BODY_MAX_BYTES} bytes are taken.")
    return request._request.body


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _count(system: ExternalSystem, what: str) -> None:
    with transaction.atomic():
        ConnectionInbox.objects.get_or_create(system=system)
        ConnectionInbox.objects.filter(system=system).update(**{what: F(what) + 1, f"{what}_at": timezone.now()})
