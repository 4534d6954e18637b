"""Sends the operations of mapped systems: the calls of their documents, one after the other, and their memory."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone

from changes.models import Attachment
from integrations.choices import Failure
from integrations.models import DeliveryAttempt, OutgoingOperation, SecretUnreadable
from integrations.outgoing import outbox
from integrations.outgoing.kept_answers import kept_headers
from integrations.outgoing.outbox import Outcome, Result
from integrations.outgoing.sending import ANSWER_KEPT, Sending, failed, retry_after
from integrations.transports.base import Request, Response
from integrations.transports.statuses import outcome_of

from . import partner_tokens
from .calling import Line
from .evaluation.auth import AuthRefused
from .evaluation.calls import AttachedFile, Call
from .evaluation.conversation import Conversation, names_of
from .partner_tokens import Renewal, Token
from .revisions import connection_of_revision
from .secrets import check_readable, secrets_of
from .templating.faults import EvaluationFailed, FaultyDocument, SecretMissing

NO_STEPS = "No call was made: the connection has no steps for {}."


def made_no_call(attempt: DeliveryAttempt) -> bool:
    """Whether the operation is delivered without a call, since its document has no steps for it."""
    return attempt.request.startswith(NO_STEPS.partition("{")[0])


@dataclass(frozen=True)
class NoToken:
    """Why no token came, for all who waited for it. `at`: of the monotonic clock."""

    at: float
    outcome: Outcome
    status: int | None
    failure: Failure
    error: str


class MappedSender:
    """Begins the operations of mapped systems in one drain, which share what it knows of tokens."""

    def __init__(self) -> None:
        # When one of its operations began to ask for a token, by system; of the monotonic clock.
        self.asking: dict[int, float] = {}
        self.refused: dict[int, NoToken] = {}

    def __call__(self, operations: Sequence[OutgoingOperation]) -> Sequence[Sending]:
        secrets = secrets_of({operation.system_id for operation in operations})
        return [Mapped(operation, secrets[operation.system_id], self) for operation in operations]


class Mapped:
    """One operation of a mapped system. `call`: the next call, None before the first."""

    def __init__(self, operation: OutgoingOperation, secrets: dict[str, str], sender: MappedSender) -> None:
        self.operation, self.secrets, self.sender = operation, secrets, sender
        self.begun = self.prolonged_at = time.monotonic()
        self.conversation: Conversation | None = None
        self.call: Call | None = None
        self.fault: EvaluationFailed | None = None
        self.token: Token | None = None
        self.renewal: Renewal | None = None
        self.refused_token: int | None = None
        self.line: Line

    def next(self, attempt: DeliveryAttempt) -> Request | Result | None:
        try:
            return self._next(attempt)
        except FaultyDocument as error:
            told = str(error).replace("\n", "; ")
            return self._paused(attempt, Failure.CONNECTION_DOCUMENT, f"The connection's document has faults: {told}")
        except SecretMissing as error:
            return self._paused(attempt, Failure.CONNECTION_DOCUMENT, str(error))
        except EvaluationFailed as error:
            return self._refused(attempt, Failure.CONNECTION_DOCUMENT, str(error))
        except SecretUnreadable as error:
            return self._paused(attempt, Failure.SIGNING_SECRET, str(error))

    def _next(self, attempt: DeliveryAttempt) -> Request | Result | None:
        if self.conversation is None:
            self._begin()
        attempt.revision = self.revision
        if not self._has_time():
            return self._too_late(attempt)
        if self.fault:
            raise self.fault
        if self.conversation is None or self.call is None:
            attempt.request = NO_STEPS.format(self.operation.operation)
            return Result(self.operation, attempt, Outcome.DELIVERED)
        if self.line.connection.auth.has_token and self.token is None:
            asked = self._ask_for_token(attempt)
            if self.token is None:
                return asked
        attempt.step, attempt.request = self.call.step, self.line.masked(self.line.shown(self.call), self._token)
        return self.line.request(self.call, self._token, self._attachment())

    def _begin(self) -> None:
        self.revision, connection = connection_of_revision(self.operation.system.connection_id)
        check_readable(self.operation.system, self.secrets, connection.secret_names)
        self.line = Line(connection, self.secrets)
        if self.operation.operation not in connection.outgoing:
            return
        names = names_of(json.loads(outbox.body(self.operation)), timezone.now())
        done = json.loads(self.operation.remembered) if self.operation.remembered else None
        self.conversation = Conversation(connection, self.operation.operation, names, self.secrets, done)
        self.call = self.conversation.next_call()

    @property
    def _token(self) -> str:
        return self.token.value if self.token else ""

    def _attachment(self) -> Attachment | None:
        body = self.call.body if self.call else b""
        parts = [body] if isinstance(body, bytes | AttachedFile) else [part.content for part in body]
        if not any(isinstance(part, AttachedFile) for part in parts):
            return None
        return self.operation.attachment

    # --- The token ---

    def _ask_for_token(self, attempt: DeliveryAttempt) -> Request | Result | None:
        """The call that asks for a token, or a result if none came. None: wait. Sets `token` once there is one."""
        system = self.operation.system_id
        refused = self.sender.refused.get(system)
        if refused and refused.at > self.begun:
            attempt.failure, attempt.http_status, attempt.error = refused.failure, refused.status, refused.error[:500]
            return Result(self.operation, attempt, refused.outcome, refused.error)
        if time.monotonic() - self.sender.asking.get(system, -math.inf) < settings.DELIVERY_TIMEOUT:
            return None
        found = partner_tokens.token_or_renewal(system, self.refused_token)
        if isinstance(found, Token):
            self.token = found
        if not isinstance(found, Renewal):
            return None
        self.renewal = found
        self.sender.asking[system] = time.monotonic()
        try:
            request, shown = self.line.sign_in()
        except EvaluationFailed:
            partner_tokens.give_up(found)
            self._end_asking()
            raise
        attempt.step, attempt.request = "sign in", self.line.masked(shown)
        return request

    def _has_time(self) -> bool:
        """Whether a call that is made now can end before the lease does, or at least has half of the lease."""
        lease = settings.DELIVERY_LEASE
        return time.monotonic() - self.prolonged_at < max(lease - settings.DELIVERY_TIMEOUT, lease / 2)

    def _too_late(self, attempt: DeliveryAttempt) -> Result:
        attempt.failure, attempt.error = Failure.SIGN_IN, "the token that another call asked for did not come in time"
        return Result(self.operation, attempt, Outcome.RETRY, attempt.error)

    def _signed_in(self, renewal: Renewal, attempt: DeliveryAttempt, response: Response) -> Result:
        attempt.http_status = response.status
        status_outcome = outcome_of(response.status)
        try:
            got = self.line.connection.auth.token_of(response)
        except (AuthRefused, EvaluationFailed) as error:
            if status_outcome is not Outcome.DELIVERED:  # otherwise it may have the token, where nobody expected it
                self._keep_answer(attempt, response)
            # A refusal is about our credentials, so all operations wait until they are mended. An answer without a
            # token, such as the page of a maintenance, is none.
            is_refused = 400 <= response.status < 500 and status_outcome is not Outcome.RETRY
            outcome = Outcome.PAUSE if is_refused else Outcome.RETRY
            attempt.failure = Failure.SIGN_IN
            return self._without_token(renewal, Result(self.operation, attempt, outcome, str(error)))
        self.token = partner_tokens.keep(renewal, got.value, got.expires_in)
        self._end_asking()
        return Result(self.operation, attempt, None, done=self._done)

    def _without_token(self, renewal: Renewal, result: Result) -> Result:
        attempt = result.attempt
        self.sender.refused[self.operation.system_id] = NoToken(
            time.monotonic(),
            result.outcome or Outcome.RETRY,
            attempt.http_status,
            Failure(attempt.failure),
            result.error,
        )
        partner_tokens.give_up(renewal)
        self._end_asking()
        return result

    def _end_asking(self) -> None:
        self.renewal = None
        self.sender.asking.pop(self.operation.system_id, None)

    # --- Answers ---

    @property
    def _done(self) -> dict[str, Any] | None:
        return self.conversation.done or None if self.conversation else None

    def answered(self, attempt: DeliveryAttempt, response: Response) -> Result:
        self.prolonged_at = time.monotonic()  # with what is written now, the lease begins anew
        if self.renewal:
            return self._signed_in(self.renewal, attempt, response)
        conversation = self.conversation
        if conversation is None:
            raise ValueError("No call was made, so none can be answered.")
        self._keep_answer(attempt, response)
        if response.status == 401 and self.token and self.refused_token is None:
            # The token was revoked or has run out. The call is made again with a new one, once.
            self.refused_token, self.token = self.token.number, None
            attempt.failure = Failure.STATUS
            return Result(self.operation, attempt, None, done=self._done)
        self.refused_token = None
        verdict = conversation.answered(response)
        if verdict.outcome is not None:
            return self._ended(attempt, response, verdict)
        try:
            self.call = conversation.next_call()
        except EvaluationFailed as error:
            self.fault = error
        outcome = None if self.call or self.fault else Outcome.DELIVERED
        return Result(
            self.operation,
            attempt,
            outcome,
            answer=verdict.result,
            note=verdict.note,
            done=self._done,
        )

    def _keep_answer(self, attempt: DeliveryAttempt, response: Response) -> None:
        """Masked before it is cut: otherwise half a secret might stay at its end."""
        attempt.http_status = response.status
        text = response.body[: 16 * ANSWER_KEPT].decode(errors="replace").replace("\x00", "\ufffd")
        attempt.answer = self.line.masked(text, self._token)[:ANSWER_KEPT]
        attempt.answer_headers = kept_headers(response.headers, lambda value: self.line.masked(value, self._token))

    def _ended(self, attempt: DeliveryAttempt, response: Response, verdict: Any) -> Result:
        is_status = outcome_of(response.status) is not Outcome.DELIVERED
        is_told = is_status and verdict.outcome is not Outcome.REFUSED
        attempt.failure = Failure.STATUS if is_told else Failure.RULE
        error = self.line.masked(verdict.error, self._token)
        attempt.error = "" if is_told else error[:500]
        asked = retry_after(response.headers) if verdict.outcome is Outcome.RETRY else None
        return Result(self.operation, attempt, verdict.outcome, error, retry_after=asked)

    def failed(self, attempt: DeliveryAttempt, error: Exception) -> Result:
        result = failed(self.operation, attempt, error)
        return self._without_token(self.renewal, result) if self.renewal else result

    def _paused(self, attempt: DeliveryAttempt, failure: Failure, error: str) -> Result:
        """What no operation can get past: all of them wait until it is mended."""
        attempt.failure, attempt.error = failure, error[:500]
        return Result(self.operation, attempt, Outcome.PAUSE, error)

    def _refused(self, attempt: DeliveryAttempt, failure: Failure, error: str) -> Result:
        attempt.failure, attempt.error = failure, error[:500]
        return Result(self.operation, attempt, Outcome.REFUSED, error)
