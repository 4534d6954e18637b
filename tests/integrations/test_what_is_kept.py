"""The log keeps the beginning and the hash of a refused body, and nothing of a caller who speaks for no system."""

import hashlib
import json

import pytest
from django.db import connection

from integrations.models import IncomingOperation
from tests.factories import UserFactory
from tests.pages import text, web

pytestmark = pytest.mark.django_db
OPERATIONS = "/api/v1/operations/"
LIMIT = 64 * 1024
LARGE = {
    "letters": json.dumps({"system_id": "ACME", "operation": "Update", "external_id": "C-1", "x": "y" * 500_000}),
    "quotes": json.dumps({"system_id": "ACME", "operation": "Update", "external_id": "C-1", "x": '"\\' * 200_000}),
    "umlauts": json.dumps({"system_id": "ACME", "operation": "Update", "x": "ü€" * 100_000}, ensure_ascii=False),
    "no JSON": '{"system_id": "ACME", ' + '"' * 500_000,
    "no text": b"\xff" * 500_000,
}


def stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload, error FROM integrations_incomingoperation")
        ((payload, error),) = cursor.fetchall()
    assert len(error) <= 4000
    return len(payload.encode())


def test_of_a_large_body_the_beginning_is_kept_and_its_hash(acme, partner_api, alice):
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    for name, body in LARGE.items():
        IncomingOperation.objects.all().delete()
        body = body if isinstance(body, bytes) else body.encode()
        answer = partner_api(acme).generic("POST", OPERATIONS, body, "application/json")
        assert answer.status_code == 400, name
        entry = IncomingOperation.objects.get()
        assert 0.9 * LIMIT < stored() <= LIMIT, name
        assert entry.payload["bytes"] > LIMIT
        assert entry.user == acme.authorized_user
        if name == "no JSON":
            assert entry.body_sha256 == hashlib.sha256(body).hexdigest()
        assert len(entry.body_sha256) == 64
        for page in (
            web(alice).get(f"/exchange/{entry.pk}/"),
            root.get(f"/admin/integrations/incomingoperation/{entry.pk}/change/"),
        ):
            assert page.status_code == 200 and len(page.content) < 4 * LIMIT
    # A body within the limit is kept completely.
    IncomingOperation.objects.all().delete()
    body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1", "x": "y" * 60_000}
    partner_api(acme).post(OPERATIONS, body, format="json")
    assert IncomingOperation.objects.get().payload == body


def test_pages_show_a_part_of_what_is_large(acme, partner_api, alice):
    texts = dict.fromkeys(("description", "reason", "justification"), "y" * 100000)
    body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T", **texts}}
    assert partner_api(acme).post(OPERATIONS, body, format="json").status_code == 201
    entry = IncomingOperation.objects.get()
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    for page in (
        web(alice).get(f"/exchange/{entry.pk}/"),
        root.get(f"/admin/integrations/incomingoperation/{entry.pk}/change/"),
    ):
        assert "The first 64 kB are shown. Download all of it" in text(page)
        assert len(page.content) < 3 * LIMIT


def test_nothing_is_kept_for_callers_without_a_system(alice, api, db):
    nobody = UserFactory(username="nobody")
    for caller in (alice, nobody):
        for body in (LARGE["letters"], "{nonsense", json.dumps({"system_id": "ACME", "operation": "Create"})):
            answer = api(caller).generic("POST", OPERATIONS, body, "application/json")
            assert answer.status_code in (400, 403)
    assert not IncomingOperation.objects.exists()
