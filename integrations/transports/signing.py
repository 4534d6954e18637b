"""Signatures by the Standard Webhooks specification. A secret is written as `whsec_<base64>`."""

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Raises ValueError, with a text for people, unless `secret` is `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("Write the secret as whsec_ and 24 to 64 bytes in base64.")


def headers(
    message_id: str, body: bytes, signing_secrets: Sequence[str], now: datetime | None = None
) -> dict[str, str]:
    """The `webhook-*` headers of a message, with one signature per secret.

    During a rotation there are two secrets, the newer first. Without any, the signature header is left out.
    """
    now = now or datetime.now(UTC)
    signatures = [Webhook(secret).sign(message_id, now, body.decode()) for secret in signing_secrets]
    signed = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
    if signatures:
        signed["webhook-signature"] = " ".join(signatures)
    return signed


def is_signed_by(secret: str, body: bytes, received_headers: dict[str, str]) -> bool:
    """Whether `secret` signed this message within the last five minutes."""
    try:
        Webhook(secret).verify(body.decode(), received_headers)
    except (WebhookVerificationError, UnicodeDecodeError):
        return False
    return True
