"""What a partner sent, as an operation or as a file: it is applied, or its failure is answered and logged."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as InvalidModel
from rest_framework import status
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request

from changes.api.exceptions import Conflict, Forbidden, Problem, TooLarge, Unavailable
from changes.api.problems import as_api_exception, told
from changes.conflicts import is_unavailable, is_undone
from changes.exceptions import ChangeRefused
from changes.models import Change
from changes.security_log.recording import Subject, refuse
from changes.validators import validate_identifier
from integrations import incoming
from integrations.incoming import OperationRefused
from integrations.json_text import KEPT_BYTES
from integrations.metrics import INCOMING
from integrations.models import ExternalSystem

KEY_MAX_LENGTH = 255
BUDGET_USED_UP = (
    "{system} has made us store {most} bytes within this hour, and that is all it may. Send the rest later."
)


class NoSuchChange(Problem):
    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"


# What an entry of the log takes besides the body, roughly.
LOG_ENTRY_BYTES = 1000
_PROBLEMS = {problem.status_code: problem for problem in (Problem, Forbidden, NoSuchChange, Conflict, TooLarge)}


class Sent(ABC):
    """A received request. Its attributes hold what has been read so far, for the log if the rest cannot be read.

    `is_logged`: whether a failure is logged. Nothing is for callers without a system.
    """

    def __init__(self, request: Request | None) -> None:
        self._request = request
        self.token = ""  # its name
        self.is_logged = True
        self.system: ExternalSystem | None = None
        self.payload: Mapping[str, Any] = {}
        self.body_sha256 = ""
        self.key: str | None = None
        self.bytes_to_store = 0
        # Whose budget pays for a failure before it is known for which system the request speaks.
        self.payer: ExternalSystem | None = None
        self.is_paid = False

    @property
    def request(self) -> Request:
        """The call that it came with. What a poll found came with none, and says its `user` and `length` itself."""
        if self._request is None:
            raise ValueError("It came with no call of the sender.")
        return self._request

    @property
    def named(self) -> Mapping[str, Any]:
        """What tells the operation and its change apart, for the log: `operation`, `change_number`, `external_id`."""
        return self.payload

    @property
    def user(self) -> Any:
        """Whose request it is."""
        return self.request.user

    @property
    def length(self) -> int:
        """The bytes of what was sent."""
        return int(self.request.META.get("CONTENT_LENGTH") or 0)

    @abstractmethod
    def read(self) -> incoming.IncomingRequest:
        """Reads and validates the operation. Raises an APIException if a field or the partner's right is at fault."""

    def header(self, name: str) -> str | None:
        """The id in this header, None if it is missing. Raises Problem for one that cannot be kept."""
        key = self.request.headers.get(name)
        if key is not None and not 0 < len(key) <= KEY_MAX_LENGTH:
            message = f"Give 1 to {KEY_MAX_LENGTH} characters."
            raise Problem(f"{name}: {message}", "invalid", {name: message})
        if key is not None:
            check_identifier(name, key)
        return key

    def keep_unreadable(self, body: bytes) -> None:
        """Keeps the beginning of a body that cannot be read, for the log."""
        text = body[:KEPT_BYTES].decode(errors="replace").replace("\x00", "\ufffd")
        self.payload = {"unreadable": text}
        self.body_sha256 = hashlib.sha256(body).hexdigest()

    def log_failure(self, problem: APIException) -> None:
        if not self.is_logged:
            return
        self._pay_for_failure()
        if problem.status_code == status.HTTP_404_NOT_FOUND:
            self._note_what_is_not_theirs()
        incoming.log_failure(
            user=self.user,
            token=self.token,
            system=self.system,
            http_status=problem.status_code,
            error=_as_text(problem),
            refusal=getattr(problem, "refusal", None),
            payload=self.payload,
            named=self.named,
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
        )

    def _pay_for_failure(self) -> None:
        """Counts what the log keeps of a request that was refused while it was read. Raises Throttled."""
        payer = self.system or self.payer
        if payer is None or self.is_paid:
            return
        self.is_paid = True
        pay(payer, min(self.length, settings.API_BODY_MAX_BYTES) + LOG_ENTRY_BYTES)

    def _note_what_is_not_theirs(self) -> None:
        """For the security log. The answer does not tell the partner whether there is such a change."""
        number = self.named.get("change_number")
        change = Change.objects.filter(number=number[:22]).first() if isinstance(number, str) else None
        if change is not None:
            details = {"operation": str(self.named.get("operation"))}
            refuse("operation_refused", Subject.of(change, change.number), details)


def apply(sent: Sent) -> incoming.Answer:
    """Applies what was sent. Raises the APIException to answer with; it is logged."""
    try:
        answer = _apply(sent)
    except Throttled:
        _count(sent, "throttled")
        raise
    except APIException as error:
        _count(sent, "refused" if error.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR else "failed")
        raise
    except Exception:
        _count(sent, "failed")
        raise
    _count(sent, "repeated" if answer.is_replay else str(answer.body["status"]).lower())
    return answer


def _count(sent: Sent, result: str) -> None:
    """Counts it for Prometheus. Of a caller without a system the name of none is kept."""
    system = sent.system or sent.payer
    INCOMING.labels(system.system_id if system else "", result).inc()


def _apply(sent: Sent) -> incoming.Answer:
    try:
        operation = sent.read()
        pay(operation.system, sent.bytes_to_store)
        sent.is_paid = True
        return _applied(operation)
    except Throttled:
        raise  # not logged: the log would be stored too
    except (APIException, ChangeRefused, InvalidModel, OperationRefused) as error:
        problem = problem_of(error)
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


def pay(system: ExternalSystem, size: int) -> None:
    """Counts what a request makes us store against its system's budget. Raises Throttled if that is used up."""
    if wait := incoming.wait_for_budget(system, size):
        raise Throttled(wait, BUDGET_USED_UP.format(system=system, most=settings.PARTNER_BYTES_PER_HOUR))


def _applied(operation: incoming.IncomingRequest) -> incoming.Answer:
    answer = incoming.receive(operation)
    if not answer.is_replay:
        incoming.count_stored(operation.system, answer.stored)
    return answer


def check_identifier(name: str, text: str) -> None:
    try:
        validate_identifier(text)
    except InvalidModel as error:
        message = " ".join(error.messages)
        raise Problem(f"{name}: {message}", str(error.code), {name: message}) from error


def problem_of(error: Exception) -> APIException:
    """The error to answer with, for a refusal of whatever kind."""
    if isinstance(error, OperationRefused):
        return _PROBLEMS[error.status](error.detail, error.code, error.errors)
    problem = as_api_exception(error, prefix="properties.")
    return problem if isinstance(problem, APIException) else Problem(str(problem))


def _as_text(problem: APIException) -> str:
    """One line for people: the errors with the paths of their fields."""
    text = getattr(problem, "summary", None) or " ".join(told(problem.detail))
    # The name of an unknown field may contain characters that cannot be stored; escape them.
    return str(text)[:4000].encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
