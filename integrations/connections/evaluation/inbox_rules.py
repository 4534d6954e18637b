"""The partner's own webhooks: who sent one, and which operations become of it."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from integrations.transports import signing

from ..templating.faults import EvaluationFailed
from ..templating.templates import evaluated, is_true
from ..templating.values import OMIT, Record, as_text
from .answers import body_of
from .connection import Connection
from .operations import Operation, operation_from
from .shapes import Inbox, Verification


def _inbox(connection: Connection) -> Inbox:
    if connection.inbox is None:
        raise ValueError("this connection has no inbox")
    return connection.inbox


def verified(connection: Connection, secrets: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the webhook proves who sent it. Not for the kind `token`: the caller knows the tokens.

    Without its secret nothing can be proved.
    """
    verification = _inbox(connection).verify
    headers = {name.lower(): value for name, value in headers.items()}
    if verification.kind == "basic":
        return _is_basic(verification, secrets, headers)
    secret = secrets.get(verification.secret, "")
    if not secret:
        return False
    if verification.kind == "standard_webhooks":
        return _is_standard(secret, headers, body)
    return verification.kind == "hmac" and _is_hmac(verification, secret, headers, body)


def _is_basic(verification: Verification, secrets: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    names = {"secret": Record(secrets)}
    try:
        expected = [as_text(evaluated(part, names)) for part in (verification.username, verification.password)]
        sent = base64.b64decode(given.strip(), validate=True)
    except (EvaluationFailed, binascii.Error, ValueError):
        return False
    if scheme.lower() != "basic" or not all(expected):
        return False
    return hmac.compare_digest(sent, ":".join(map(str, expected)).encode())


def _is_standard(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        signing.check_secret(secret)
    except ValueError:
        return False
    return signing.is_signed_by(secret, body, dict(headers))


def _is_hmac(verification: Verification, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    digest = hmac.new(secret.encode(), body, verification.algorithm).digest()
    encoded = digest.hex() if verification.encoding == "hex" else base64.b64encode(digest).decode()
    given = headers.get(verification.header.lower(), "").strip()
    if verification.encoding == "hex":
        start = len(verification.prefix)
        given = given[:start] + given[start:].lower()
    return hmac.compare_digest(given.encode(), (verification.prefix + encoded).encode())


def operations_of(connection: Connection, headers: Mapping[str, str], body: bytes) -> list[Operation]:
    """The operations whose `when` holds for this webhook, each with its key. Raises EvaluationFailed."""
    names = {
        "headers": Record({name.lower(): value for name, value in headers.items()}),
        "body": body_of(headers, body, "inbox"),
        "omit": OMIT,
    }
    made: list[Operation] = []
    for template in _inbox(connection).operations:
        if not is_true(template.when, names):
            continue
        key, operation = operation_from(template, names)
        if key is not None and any(key == other for other, _ in made):
            raise EvaluationFailed(f"{template.path}.key", f"another operation of this webhook has the key {key} too")
        made.append((key, operation))
    return made
