"""A call to a partner as lines for a shell, to make it again by hand. Secrets are variables of the shell."""

from __future__ import annotations

import shlex
from urllib.parse import quote, urlencode

from integrations.connections.calling import REQUEST_KEPT
from integrations.connections.evaluation.calls import MASK
from integrations.models import DeliveryAttempt, OutgoingOperation

_SIGNED = """\
KEY=$(printf %s "${SIGNING_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$({ printf '%s.%s.' "$ID" "$AT"; cat "$FILE"; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | openssl base64 -A)"""


def of_push(operation: OutgoingOperation, is_signed: bool) -> str:
    """The signed POST of an operation. Its payload is the file that the page offers."""
    lines = [f"ID={operation.pk} AT=$(date +%s) FILE={operation.pk}-payload.json"]
    options = ["-H 'Content-Type: application/json'", '-H "webhook-id: $ID"', '-H "webhook-timestamp: $AT"']
    if is_signed:
        lines.append(_SIGNED)
        options.append('-H "webhook-signature: v1,$SIGNATURE"')
    options += ['--data-binary "@$FILE"', shlex.quote(operation.system.endpoint_url)]
    return "\n".join([*lines, " \\\n  ".join(["curl -i", *options])])


def of_attempt(attempt: DeliveryAttempt) -> str:
    """A call of a mapped system; "" if not all of it is kept, or it sent a file. `$SECRET` stands for each secret."""
    head, _blank, body = attempt.request.partition("\n\n")
    first, *lines = head.splitlines() or [""]
    method, _space, url = first.partition(" ")
    headers = [line for line in lines if not line.startswith("  ")]
    is_of_parts = any(line.lower().startswith("content-type: multipart") for line in headers)
    if not url or is_of_parts or len(attempt.request) >= REQUEST_KEPT:
        return ""
    query = [line.strip().partition(" = ")[::2] for line in lines if line.startswith("  ")]
    address = f"{url}{urlencode(query).replace(quote(MASK), MASK)}"
    options = [f"-X {method}", *(f"-H {_quoted(line)}" for line in headers)]
    if body:
        options.append(f"--data-binary {_quoted(body)}")
    return " \\\n  ".join(["curl -i", *options, _quoted(address)])


def _quoted(text: str) -> str:
    return shlex.quote(text).replace(MASK, "'\"$SECRET\"'")
