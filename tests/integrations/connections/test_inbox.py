"""The inbox: a partner's own webhooks become operations, if they prove who sent them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from django.conf import settings
from knox.models import AuthToken
from standardwebhooks.webhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from changes.models import Change, Comment
from integrations.connections.document import faults_of
from integrations.models import ConnectionInbox, IncomingOperation

from .conftest import connect, document_of

pytestmark = pytest.mark.django_db

WHSEC = "whsec_" + base64.b64encode(b"k" * 32).decode()
OPERATIONS = """\
  operations:
    - when: "{{ body.event == 'opened' }}"
      key: "{{ body.id }}"
      operation: Create
      external_id: "{{ body.ticket }}"
      properties: {title: "{{ body.title }}"}
    - when: "{{ body.event == 'replied' }}"
      key: "{{ body.id }}"
      operation: Update
      external_id: "{{ body.ticket }}"
      comments: [{body: "{{ body.text }}"}]
"""
OPENED = {"id": "e1", "event": "opened", "ticket": "T1", "title": "Their printer"}


def hexed(body: bytes) -> dict[str, str]:
    return {"X-Signature": "sha256=" + hmac.new(b"hmac-secret", body, hashlib.sha256).hexdigest()}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def standard(secret: str, body: bytes, kind=Webhook) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": kind(secret).sign("msg_1", now, body.decode()),
    }


VERIFY = {
    "hmac": "{kind: hmac, header: X-Signature, algorithm: sha256, encoding: hex, prefix: sha256=, secret: HMAC}",
    "basic": '{kind: basic, username: them, password: "{{ secret.PASSWORD }}"}',
    "standard_webhooks": "{kind: standard_webhooks, secret: WHSEC}",
    "token": "{kind: token}",
}


@pytest.fixture
def inbox(acme, desk, client):
    def inbox(kind, verify="", operations=OPERATIONS):
        more = f"inbox:\n  verify: {verify or VERIFY[kind]}\n{operations}"
        secrets = {"API_KEY": "a-secret-key-9", "HMAC": "hmac-secret", "PASSWORD": "open-sesame", "WHSEC": WHSEC}
        connect(acme, document_of(desk, more=more), **secrets)

        def send(payload, headers, system_id="ACME", path=""):
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            given = headers(body) if callable(headers) else headers
            return client.post(
                f"/api/v1/inbox/{system_id}/{path}", body, content_type="application/json", headers=given
            )

        return send

    return inbox


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("hmac", hexed, lambda body: hexed(body + b" ")),
        ("hmac", hexed, {}),
        ("basic", basic("them", "open-sesame"), basic("them", "open sesame")),
        ("basic", basic("them", "open-sesame"), basic("us", "open-sesame")),
        ("standard_webhooks", lambda body: standard(WHSEC, body), lambda body: standard(WHSEC, body + b" ")),
        ("standard_webhooks", lambda body: standard(WHSEC, body, SvixWebhook), {"webhook-id": "msg_1"}),
    ],
)
def test_only_a_call_that_proves_its_sender_is_taken(inbox, kind, good, bad):
    send = inbox(kind)
    refused = send(OPENED, bad)
    assert (refused.status_code, Change.objects.count()) == (401, 0)
    assert ConnectionInbox.objects.get().unverified == 1
    taken = send(OPENED, good)
    assert taken.status_code == 200, taken.content
    assert [one["operation"] for one in taken.json()["operations"]] == ["Create"]
    change = Change.objects.get()
    assert change.title == "Their printer"
    assert IncomingOperation.objects.get().token == "inbox, revision 1"
    again = send(OPENED, good)
    assert (again.status_code, Change.objects.count()) == (200, 1)
    assert again.json()["operations"][0]["repeated"] is True
    for answer in (taken.json(), again.json()):
        url = f"{settings.BASE_URL}/changes/{change.number}/"
        assert [answer[name] for name in ("external_id", "external_url", "external_status")] == [
            change.number,
            url,
            "Log",
        ]
    replied = send({"id": "e2", "event": "replied", "ticket": "T1", "text": "Still smoking"}, good)
    assert (replied.status_code, Comment.objects.get().body) == (200, "Still smoking")


def test_a_repeat_is_known_by_its_key_whatever_it_says_now(inbox):
    """A partner that pushes says in a repeat what it has learnt meanwhile of our record."""
    send = inbox("hmac")
    send(OPENED, hexed)
    again = send({**OPENED, "title": "Their printer, which smokes"}, hexed)
    assert (again.status_code, again.json()["operations"][0]["repeated"]) == (200, True)
    assert Change.objects.get().title == "Their printer"


def token_of(system):
    return AuthToken.objects.create(system.authorized_user)[1]


def test_a_token_of_its_authorized_user(inbox, acme, beta):
    send = inbox("token")
    own, other = (f"Bearer {token_of(system)}" for system in (acme, beta))
    assert send(OPENED, {}).status_code == 401
    assert send(OPENED, {"Authorization": other}).status_code == 401
    assert send(OPENED, {"Authorization": own}).status_code == 200


def test_a_token_in_the_address_only_where_the_document_says_so(inbox, acme):
    token = token_of(acme)
    assert inbox("token")(OPENED, {}, path=f"?token={token}").status_code == 401
    assert inbox("token", "{kind: token, in_query: true}")(OPENED, {}, path=f"?token={token}").status_code == 200


def test_what_matches_nothing_is_answered_and_counted(inbox):
    send = inbox("hmac")
    ignored = send({"event": "closed"}, hexed)
    assert (ignored.status_code, ignored.json()) == (202, {"operations": []})
    assert ConnectionInbox.objects.get().unmatched == 1


@pytest.mark.parametrize("system_id", ["ACME2", "BETA", "acme"])
def test_a_system_without_an_inbox_answers_like_one_with_another_secret(inbox, beta, system_id):
    send = inbox("hmac")
    refused, unknown = send(OPENED, {}), send(OPENED, hexed, system_id=system_id)
    assert refused.status_code == unknown.status_code == 401
    assert refused.json()["detail"] == unknown.json()["detail"]


@pytest.mark.parametrize(
    ("payload", "status", "said"),
    [
        ({"event": "opened", "id": "e1", "ticket": "T1"}, 400, "title"),
        ({"event": "opened", "id": "e1", "ticket": "T1", "title": ""}, 400, "properties.title"),
        ({"event": "replied", "id": "e1", "ticket": "T9", "text": "?"}, 404, "external_id"),
        (b"{", 400, ""),
        (b"[" * 5000, 400, ""),
        (b'"text"', 400, ""),
    ],
)
def test_a_call_that_cannot_be_used_is_refused_and_logged(inbox, payload, status, said):
    refused = inbox("hmac")(payload, hexed)
    assert refused.status_code == status, refused.content
    assert said in refused.content.decode()
    assert [row.status for row in IncomingOperation.objects.all()] == ["Failed"]
    assert not Change.objects.exists()


SEVERAL = """\
  operations:
    - when: "{{ body.event == 'opened' }}"
      key: "{{ body.id }}-record"
      operation: Create
      external_id: "{{ body.ticket }}"
      properties: {title: "{{ body.title }}"}
    - when: "{{ body.event == 'replied' }}"
      key: "{{ body.id }}-comment"
      operation: Update
      external_id: "{{ body.ticket }}"
      comments: [{body: "{{ body.text }}"}]
    - when: "{{ body.event == 'replied' and body.title }}"
      key: "{{ body.id }}KEY"
      operation: Update
      external_id: "{{ body.ticket }}"
      properties: {title: "{{ body.title }}"}
    - when: "{{ body.event == 'replied' and body.more }}"
      key: "{{ body.id }}-more"
      operation: Update
      external_id: "{{ body.ticket }}"
      comments: [{body: "{{ body.more }}"}]
"""
REPLIED = {"id": "e2", "event": "replied", "ticket": "T1", "text": "Smoke", "title": "", "more": ""}
# The title and more text that the webhook has, the status of its answer, which of its operations are repeated, and all
# comments afterwards.
TRIES = [
    ("x" * 201, "More smoke", 400, [], ["Smoke", "More smoke"]),
    ("x" * 201, "More smoke", 400, [], ["Smoke", "More smoke"]),
    ("Their burnt printer", "Fire", 200, [True, False, True], ["Smoke", "More smoke"]),
]


def test_one_of_several_operations_that_is_refused_doubles_no_other(inbox):
    send = inbox("hmac", operations=SEVERAL.replace("KEY", "-title"))
    assert send(OPENED, hexed).status_code == 200
    for title, more, status, repeated, comments in TRIES:
        answer = send(REPLIED | {"title": title, "more": more}, hexed)
        assert answer.status_code == status, answer.content
        assert [one["repeated"] for one in answer.json().get("operations", [])] == repeated
        assert [comment.body for comment in Comment.objects.order_by("id")] == comments
    assert Change.objects.get().title == "Their burnt printer"


def test_two_operations_of_one_webhook_need_two_keys(inbox):
    send = inbox("hmac", operations=SEVERAL.replace("KEY", "-comment"))
    send(OPENED, hexed)
    refused = send(REPLIED | {"title": "Their burnt printer"}, hexed)
    assert refused.status_code == 400
    assert (
        "inbox.operations[2].key: another operation of this webhook has the key e2-comment" in refused.json()["detail"]
    )
    assert not Comment.objects.exists()


def test_of_several_operations_each_needs_a_key():
    document = f"base_url: https://desk.example.com\ninbox:\n  verify: token\n{SEVERAL}"
    assert faults_of(document) == []
    (fault,) = faults_of(document.replace('      key: "{{ body.id }}-more"\n', ""))
    assert (fault.path, "Give it a key" in fault.message) == ("inbox.operations[3]", True)
