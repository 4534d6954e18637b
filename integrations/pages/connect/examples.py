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
    return f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(values))}"


def who_am_i(base: str) -> Snippet:
    return Snippet(_("Does the token work?"), _curl(f"{base}/api/v1/changes/?limit=1", BEARER))


def an_update(base: str, system_id: str) -> Snippet:
    said = {"system_id": system_id, "operation": "Update", "change_number": "$NUMBER"}
    update = _json({**said, "comments": [{"body": "Parts ordered"}]}).replace("$NUMBER", "'$NUMBER'")
    title = _("Send an operation about a change that %(system)s has, with our number of it in $NUMBER")
    line = _curl(f"{base}/api/v1/operations/", BEARER, '-H "Idempotency-Key: example-$NUMBER"', update)
    return Snippet(title % {"system": system_id}, line)


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
    body = f"jq -n --arg login {shlex.quote(username)} --arg password \"$PASSWORD\" '$ARGS.named'"
    lines = [f"TOKEN=$({body} |", f"  curl --fail-with-body -d @- {shlex.quote(address)})"]
    return Snippet(_("Sign in"), "\n".join(lines))


def password() -> Snippet:
    """Alone: a shell that gets several lines at once would take the next one for the password."""
    return Snippet(_("Type the password, which is not shown"), "read -rs PASSWORD")


def poll(feed: str) -> Snippet:
    return Snippet(_("Poll the feed"), _curl(feed, "-i", '-b "LWSSO_COOKIE_KEY=$TOKEN"'))
