"""Who sent a webhook, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from integrations.connections.document import connection_of
from integrations.connections.evaluation.connection import Connection
from integrations.connections.evaluation.inbox_rules import operations_of, verified
from integrations.connections.templating.faults import EvaluationFailed
from integrations.transports import signing
from tests.rows import each_row

pytestmark = pytest.mark.any_database

BODY = json.dumps({"event": "updated", "id": 12, "text": "Füße"}).encode()
WHSEC = signing.new_secret()
SECRETS = {"HOOK": "shared", "USER": "desk", "WHSEC": WHSEC, "BROKEN": "whsec_!"}


def inbox(verify: str, operations: str = "[]") -> Connection:
    return connection_of(f"base_url: https://x\ninbox:\n  verify: {verify}\n  operations: {operations}")


def digest(algorithm: str, secret: str = "shared") -> bytes:
    return hmac.new(secret.encode(), BODY, algorithm).digest()


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


SHA256 = digest("sha256").hex()
GITHUB = "{kind: hmac, header: X-Hub-Signature-256, secret: HOOK, prefix: 'sha256='}"
BASE64 = "{kind: hmac, header: X-Sign, secret: HOOK, algorithm: sha512, encoding: base64}"
BASIC = "{kind: basic, username: '{{ secret.USER }}', password: '{{ secret.HOOK }}'}"
VERIFIED = [
    (GITHUB, {"x-hub-signature-256": f"sha256={SHA256}"}, True),
    (GITHUB, {"X-Hub-Signature-256": f"sha256={SHA256.upper()}"}, True),
    (GITHUB, {"X-Hub-Signature-256": SHA256}, False),
    (GITHUB, {"X-Hub-Signature-256": f"sha256={digest('sha256', 'other').hex()}"}, False),
    (GITHUB, {"X-Hub-Signature-256": "sha256=é"}, False),
    (GITHUB, {}, False),
    (BASE64, {"X-Sign": base64.b64encode(digest("sha512")).decode()}, True),
    (BASE64, {"X-Sign": digest("sha512").hex()}, False),
    ("{kind: hmac, header: X, secret: HOOK, algorithm: sha1}", {"X": digest("sha1").hex()}, True),
    ("{kind: hmac, header: X, secret: MISSING}", {"X": hmac.new(b"", BODY, hashlib.sha256).hexdigest()}, False),
    (BASIC, basic("desk:shared"), True),
    (BASIC, basic("desk:other"), False),
    (BASIC, {"Authorization": "Bearer x"}, False),
    (BASIC, {"Authorization": "Basic !"}, False),
    (BASIC, {}, False),
    ("{kind: basic, username: '{{ secret.MISSING }}', password: x}", basic(":x"), False),
    ("{kind: standard_webhooks, secret: WHSEC}", {}, False),
    ("{kind: standard_webhooks, secret: BROKEN}", {}, False),
    ("token", {}, False),
]


@each_row(("verify", "headers", "result"), VERIFIED)
def test_who_sent_it(verify, headers, result):
    assert verified(inbox(verify), SECRETS, headers, BODY) is result


def test_a_standard_webhook():
    made = inbox("{kind: standard_webhooks, secret: WHSEC}")
    now = datetime.now(UTC)
    headers = {
        "Webhook-Id": "m1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(WHSEC).sign("m1", now, BODY.decode()),
    }
    assert verified(made, SECRETS, headers, BODY)
    assert not verified(made, SECRETS, headers, BODY + b" ")
    assert not verified(made, SECRETS, {**headers, "Webhook-Timestamp": "1"}, BODY)
    assert made.secret_names == {"WHSEC"}


def test_a_token_in_the_query_is_off_unless_it_is_said():
    assert not inbox("token").inbox.verify.in_query
    assert inbox("{kind: token, in_query: true}").inbox.verify.in_query


OPERATIONS = """
    - when: "{{ body.event == 'updated' }}"
      key: "{{ headers['x-delivery'] }}"
      operation: Update
      external_id: "{{ body.id }}"
      comments: [{body: "{{ body.text }}"}]
    - when: "{{ body.event == 'updated' and body.id > 10 }}"
      key: "{{ '' if body.id < 20 else body.id }}"
      operation: Update
      change_number: "{{ body.id }}"
    - when: "{{ body.event == 'deleted' }}"
      key: "{{ body.id }}"
      operation: Reject
"""


def test_each_operation_that_matches():
    made = inbox("token", "\n" + OPERATIONS)
    headers = {"Content-Type": "application/json", "X-Delivery": "77"}
    assert operations_of(made, headers, BODY) == [
        ("77", {"operation": "Update", "external_id": "12", "comments": [{"body": "Füße"}]}),
        (None, {"operation": "Update", "change_number": "12"}),
    ]
    assert operations_of(made, headers, b'{"event": "opened"}') == []
    with pytest.raises(EvaluationFailed, match=r"inbox.operations\[0\].when: `body.event` is undefined"):
        operations_of(made, headers, b"text")
    with pytest.raises(EvaluationFailed, match=r"inbox.operations\[0\].key: "):
        operations_of(made, {"Content-Type": "application/json"}, BODY)
