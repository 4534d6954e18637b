"""Examples with curl for the partner's administrator. The token and the password stay in variables of the shell."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from django.utils.translation import gettext as _

BEARER = '-H "Authorization: Bearer $TOKEN"'


@dataclass(frozen=True)
class Snippet:
    title: str
    text: str


def _curl(address: str, *options: str) -> str:
    return " \\\n  ".join(["curl --fail-with-body", *options, shlex.quote(address)])


def _json(values: object) -> str:
    return f"--json {shlex.quote(json.dumps(values))}"


def who_am_i(base: str) -> Snippet:
    return Snippet(_("Does the token work?"), _curl(f"{base}/api/v1/changes/?limit=1", BEARER))


def an_update(base: str, system_id: str) -> Snippet:
    update = {
        "system_id": system_id,
        "operation": "Update",
        "change_number": "CHG0000012",
        "external_status": "In progress",
        "comments": [{"body": "Parts ordered"}],
    }
    key = '-H "Idempotency-Key: $(uuidgen)"'
    return Snippet(_("Send an operation"), _curl(f"{base}/api/v1/operations/", BEARER, key, _json(update)))


def ask(base: str) -> Snippet:
    return Snippet(_("Ask for what waits"), _curl(f"{base}/api/v1/outbox/?limit=10&wait=30", BEARER))


def acknowledge(base: str) -> Snippet:
    record = {"external_id": "C-1001", "external_status": "Assigned"}
    # The id is that of an operation, which the shell puts in.
    address = f'"{base}/api/v1/outbox/$ID/acknowledge/"'
    lines = ["curl --fail-with-body", BEARER, _json(record), address]
    return Snippet(_("Acknowledge the operation with the id in $ID"), " \\\n  ".join(lines))


def sign_in(base: str, tenant: str, username: str) -> Snippet:
    address = f"{base}/auth/authentication-endpoint/authenticate/login?TENANTID={tenant}"
    login = shlex.quote(json.dumps({"login": username}))
    lines = [
        "read -rs PASSWORD",
        f"BODY=$(jq -c --arg password \"$PASSWORD\" '. + {{password: $password}}' <<< {login})",
        'TOKEN=$(curl --fail-with-body --json "$BODY" \\',
        f"  {shlex.quote(address)})",
    ]
    return Snippet(_("Sign in"), "\n".join(lines))


def poll(feed: str) -> Snippet:
    return Snippet(_("Poll the feed"), _curl(feed, "-i", '-b "LWSSO_COOKIE_KEY=$TOKEN"'))
