"""Invalid input to `POST /api/v1/operations/`: a clear error that names the field, and nothing is changed."""

import base64
import json
from datetime import timedelta

import pytest
from django.utils import timezone
from knox.models import AuthToken

from changes.models import Attachment, Change, Comment
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory
from tests.rows import each_row

pytestmark = pytest.mark.django_db

VALID = {"system_id": "ACME", "operation": "Update", "external_id": "C-1"}


@pytest.fixture
def change(acme):
    change = ChangeFactory()
    ExternalReference.objects.create(change=change, system=acme, external_id="C-1", external_status="Open")
    return change


def everything():
    models = (Change, Comment, Attachment, ExternalReference, OutgoingOperation)
    return [[*model.objects.order_by("pk").values()] for model in models]


def properties(**fields):
    return {"properties": fields}


def comment(**fields):
    return {"comments": [fields]}


def attachment(**fields):
    return {"attachments": [{"file_name": "a.txt", "content_base64": "eA==", **fields}]}


BAD_FIELDS = [
    # the fields that are added to a valid operation, the path in the error
    ({"system_id": None}, "system_id"),
    ({"system_id": 7}, "system_id"),
    ({"operation": None}, "operation"),
    ({"operation": ["Update"]}, "operation"),
    ({"operation": "Upgrade"}, "operation"),
    ({"external_id": ""}, "external_id"),
    ({"external_id": 1001}, "external_id"),
    ({"external_id": {"id": "C-1"}}, "external_id"),
    ({"external_id": "x" * 256}, "external_id"),
    ({"external_url": "javascript:alert(1)"}, "external_url"),
    ({"external_url": "ftp://acme.example/1"}, "external_url"),
    ({"external_url": "https://acme.example/" + "x" * 1000}, "external_url"),
    ({"external_status": "x" * 201}, "external_status"),
    ({"change_number": 12}, "change_number"),
    ({"change_number": "x" * 23}, "change_number"),
    ({"unknown": 1}, "unknown"),
    ({"propertys": {}}, "propertys"),
    ({"origin": "ACME"}, "origin"),
    ({"origin": {"system_id": "ACME"}}, "origin.operation_id"),
    ({"origin": {"system_id": "A", "operation_id": "1", "hops": 3}}, "origin.hops"),
    ({"properties": None}, "properties"),
    ({"properties": []}, "properties"),
    (properties(titel="x"), "properties.titel"),
    (properties(number="CHG0000001"), "properties.number"),
    (properties(priority="High"), "properties.priority"),
    (properties(requested_by="alice"), "properties.requested_by"),
    (properties(title=""), "properties.title"),
    (properties(title="  "), "properties.title"),
    (properties(title=None), "properties.title"),
    (properties(title=5), "properties.title"),
    (properties(title=True), "properties.title"),
    (properties(title="x" * 201), "properties.title"),
    (properties(title="a\x00b"), "properties.title"),
    (properties(description="a\ud800b"), "properties.description"),
    (properties(description="x" * 100_001), "properties.description"),
    (properties(description=None), "properties.description"),
    (properties(category="x" * 201), "properties.category"),
    (properties(service=["LAN"]), "properties.service"),
    (properties(risk="low"), "properties.risk"),
    (properties(risk=""), "properties.risk"),
    (properties(change_type=None), "properties.change_type"),
    (properties(business_impact=None), "properties.business_impact"),
    (properties(urgency="High"), "properties.urgency"),
    (properties(completion_code="Done"), "properties.completion_code"),
    (properties(phase="Planning"), "properties.phase"),
    (properties(phase=None), "properties.phase"),
    (properties(owning_group="No such group"), "properties.owning_group"),
    (properties(owning_group=""), "properties.owning_group"),
    (properties(owning_group=1), "properties.owning_group"),
    (properties(planned_start="2026-02-30T10:00:00Z"), "properties.planned_start"),
    (properties(planned_start="2026-02-28T25:00:00Z"), "properties.planned_start"),
    (properties(planned_start="2026-02-28T10:00:00"), "properties.planned_start"),
    (properties(planned_start="2026-02-28"), "properties.planned_start"),
    (properties(planned_start="tomorrow"), "properties.planned_start"),
    (properties(planned_start=1764000000), "properties.planned_start"),
    (properties(planned_start="0001-01-01T00:00:00+14:00"), "properties.planned_start"),
    (properties(planned_start="9999-12-31T23:59:59-14:00"), "properties.planned_start"),
    (
        properties(planned_start="2026-11-24T10:00:00Z", planned_end="2026-11-24T09:00:00Z"),
        "properties.planned_end",
    ),
    (properties(actual_start="2026-11-24T10:00:00Z", actual_end="2026-11-24T09:00:00Z"), "properties.actual_end"),
    ({"comments": {}}, "comments"),
    ({"comments": "Hello"}, "comments"),
    ({"comments": ["Hello"]}, "comments.0"),
    ({"comments": [{"body": "x"}] * 101}, "comments"),
    (comment(), "comments.0.body"),
    (comment(body=""), "comments.0.body"),
    (comment(body="x", visibility="secret"), "comments.0.visibility"),
    (comment(body="x", author="y" * 201), "comments.0.author"),
    (comment(body="x", author=None), "comments.0.author"),
    (comment(text="x", body="x"), "comments.0.text"),
    ({"comments": [{"body": "fine"}, {"body": "\x00"}]}, "comments.1.body"),
    (attachment(file_name="../../etc/passwd"), "attachments.0.file_name"),
    (attachment(file_name="a/b.txt"), "attachments.0.file_name"),
    (attachment(file_name="a\\b.txt"), "attachments.0.file_name"),
    (attachment(file_name=".."), "attachments.0.file_name"),
    (attachment(file_name=""), "attachments.0.file_name"),
    (attachment(file_name="a\nb"), "attachments.0.file_name"),
    (attachment(file_name="inv\u202egpj.exe"), "attachments.0.file_name"),
    (attachment(file_name="a\u2066b.txt"), "attachments.0.file_name"),
    (attachment(file_name="a\u200bb.txt"), "attachments.0.file_name"),
    (attachment(file_name="a\u2028b.txt"), "attachments.0.file_name"),
    (attachment(file_name="a\x85b.txt"), "attachments.0.file_name"),
    (attachment(file_name="x" * 256), "attachments.0.file_name"),
    (attachment(content_base64=""), "attachments.0.content_base64"),
    (attachment(content_base64="====") , "attachments.0.content_base64"),
    (attachment(content_base64="eA"), "attachments.0.content_base64"),
    (attachment(content_base64="e A=="), "attachments.0.content_base64"),
    (attachment(content_base64="ü==="), "attachments.0.content_base64"),
    (attachment(content_base64=5), "attachments.0.content_base64"),
    (attachment(content_type="x" * 101), "attachments.0.content_type"),
    (attachment(content_type="text/html\r\nX: y"), "attachments.0.content_type"),
    (attachment(size=1), "attachments.0.size"),
]  # fmt: skip


@each_row(("fields", "attr"), BAD_FIELDS)
def test_a_bad_field_is_named_and_nothing_changes(change, acme, partner_api, fields, attr):
    before = everything()
    body = json.dumps({**VALID, "comments": [{"body": "Lost"}], **fields})
    response = partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
    problem = json.loads(response.content)
    assert response.status_code == 400, problem
    assert response["Content-Type"] == "application/problem+json"
    assert attr in [error["attr"] for error in problem["errors"]], problem
    assert all(error["detail"] for error in problem["errors"])
    assert everything() == before
    entry = IncomingOperation.objects.get()
    assert (entry.status, entry.http_status, bool(entry.error)) == ("Failed", 400, True)


BAD_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"nonsense", 400),
    (b"[]", 400),
    (b"null", 400),
    (b'"text"', 400),
    (b'{"system_id": "ACME", "system_id": "BETA"}', 400),
    (b'{"system_id": NaN}', 400),
    (b'{"system_id": 1e999}', 400),
    (b"[" * 100_000, 400),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
    (b'{"system_id": "\xff"}', 400),
    (b'{"system_id": "ACME", "\\ud800": 1}', 400),
    (b'{"system_id": "ACME", "\\u0000": 1}', 400),
    (b'{"system_id": ' + b"9" * 10_000 + b"}", 400),
]


@pytest.mark.any_database
@each_row(("body", "status"), BAD_BODIES)
def test_what_is_no_json_object_is_refused(change, acme, partner_api, body, status):
    before = everything()
    response = partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["detail"]
    assert everything() == before


@pytest.mark.any_database
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "text/xml", "application/jsonx"]
)
def test_another_content_type_is_415(change, acme, partner_api, content_type):
    response = partner_api(acme).post("/api/v1/operations/", json.dumps(VALID), content_type=content_type)
    assert response.status_code == 415
    assert response["Content-Type"] == "application/problem+json"


class TestSize:
    @pytest.mark.any_database
    def test_a_body_of_50_mb_is_413(self, change, acme, partner_api):
        before = everything()
        body = json.dumps({**VALID, "comments": [{"body": "x" * 50_000_000}]})
        response = partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
        assert response.status_code == 413
        assert everything() == before

    @pytest.mark.any_database
    def test_an_attachment_over_the_limit_is_413_and_one_at_it_is_taken(self, change, acme, partner_api, settings):
        settings.ATTACHMENT_MAX_BYTES = 1000
        client = partner_api(acme)
        for size, status in ((1001, 413), (1000, 200)):
            content = base64.b64encode(b"x" * size).decode()
            body = {**VALID, **attachment(content_base64=content)}
            assert client.post("/api/v1/operations/", body, format="json").status_code == status
        assert [row.size for row in Attachment.objects.all()] == [1000]

    @pytest.mark.any_database
    def test_one_of_the_full_default_size_fits(self, change, acme, partner_api, settings):
        content = base64.b64encode(b"x" * settings.ATTACHMENT_MAX_BYTES).decode()
        body = json.dumps({**VALID, **attachment(content_base64=content)})
        response = partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
        assert response.status_code == 200, response.content
        assert Attachment.objects.get().size == settings.ATTACHMENT_MAX_BYTES


class TestTokens:
    def post(self, client):
        return client.post("/api/v1/operations/", {**VALID, "comments": [{"body": "Hi"}]}, format="json")

    def refused(self, client):
        response = self.post(client)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert response["Content-Type"] == "application/problem+json"
        assert not Comment.objects.exists()

    @pytest.mark.any_database
    def test_none(self, change, api):
        self.refused(api())

    @pytest.mark.any_database
    @each_row("header", ["Bearer", "Bearer x", "Bearer a b", "Token {}", "bearer", "Basic eDp5", "Bearer \xff"])
    def test_malformed(self, change, acme, api, header):
        _, token = AuthToken.objects.create(acme.authorized_user)
        client = api()
        client.credentials(HTTP_AUTHORIZATION=header.format(token))
        self.refused(client)

    @pytest.mark.any_database
    def test_revoked(self, change, acme, partner_api):
        client = partner_api(acme)
        assert self.post(client).status_code == 200
        Comment.objects.get()
        AuthToken.objects.all().delete()
        assert self.post(client).status_code == 401
        assert Comment.objects.count() == 1

    @pytest.mark.any_database
    def test_expired(self, change, acme, api):
        instance, token = AuthToken.objects.create(acme.authorized_user, expiry=timedelta(days=1))
        client = api()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        instance.expiry = timezone.now() - timedelta(seconds=1)
        instance.save()
        self.refused(client)

    @pytest.mark.any_database
    def test_of_a_user_who_was_deactivated(self, change, acme, partner_api):
        client = partner_api(acme)
        acme.authorized_user.is_active = False
        acme.authorized_user.save()
        self.refused(client)
