"""The page of an operation says why it is stuck: the partner's own words, its headers, and the request to repeat."""

import re
import subprocess
from html import unescape

import pytest

from changes.choices import Role
from integrations.models import DeliveryAttempt, ExternalSystem, OutgoingOperation
from integrations.outgoing import delivery
from integrations.transports import signing
from tests.factories import SECRET, UserFactory
from tests.integrations.partner import answer
from tests.mapped import make_mapped
from tests.pages import text, web
from tests.rows import each_row


def refused(give, acme, partner, *answered):
    give(acme)
    partner.script = list(answered)
    delivery.drain()
    return OutgoingOperation.objects.order_by("sequence").first()


def page_of(person, operation):
    return web(person).get(f"/exchange/{operation.pk}/")


WORDS = [
    ({"detail": "The record is locked."}, "ACME answered 422: The record is locked."),
    ({"title": "Locked", "detail": ""}, "ACME answered 422: Locked."),
    ({"error": {"message": "Locked by J. Doe"}}, "ACME answered 422: Locked by J. Doe."),
    ({"error": "invalid", "error_description": "Unknown group"}, "ACME answered 422: Unknown group."),
    (
        {"detail": "Not valid", "errors": [{"attr": "title", "detail": "is too long"}]},
        "ACME answered 422: Not valid title: is too long.",
    ),
    ({"errors": {"title": ["is too long"]}}, "ACME answered 422: title: is too long."),
    (["no"], "ACME answered 422: no."),
    ([{"message": "Locked", "errorCode": "LOCK"}, {"message": "Twice"}], "ACME answered 422: Locked Twice."),
    ({"errorMessages": ["No such issue"], "errors": {}}, "ACME answered 422: No such issue."),
    ({"errorMessages": [], "errors": {"summary": "is empty"}}, "ACME answered 422: summary: is empty."),
    ({"Message": "Not allowed"}, "ACME answered 422: Not allowed."),
    ({"errors": {"title": [["is too long"]]}}, "ACME answered 422: title: is too long."),
    ([[]], "ACME answered 422."),
    ({"errors": {"title": {"max": 3}}, "detail": {"a": []}}, "ACME answered 422."),
    (b"<html><head><title>Locked &amp; bolted</title><body>", "ACME answered 422: Locked & bolted."),
    (b"locked\r\n  for \x00 now", "ACME answered 422: locked for \ufffd now."),
    (b"", "ACME answered 422."),
    ({"detail": "x" * 1000}, f"ACME answered 422: {'x' * 299}…"),
    ({"detail": "<script>alert(1)</script>"}, "ACME answered 422: <script>alert(1)</script>."),
]


@pytest.mark.parametrize(("body", "said"), WORDS)
def test_the_banner_has_the_partners_own_words(alice, acme, partner, give, body, said):
    operation = refused(give, acme, partner, answer(422, body))
    page = page_of(alice, operation)
    # Apart from directional marks around what others wrote.
    seen = re.sub("[\u2066-\u2069]", "", unescape(page.content.decode()))
    seen = re.sub(r"\s+", " ", seen)
    assert f"{said} It will not be retried automatically." in seen
    assert "<script>alert" not in page.content.decode()


def test_the_log_finds_them_and_they_stay_when_it_is_given_up(alice, acme, partner, give, settings):
    settings.DELIVERY_RETRY_SCHEDULE = []
    operation = refused(give, acme, partner, answer(503, {"detail": "Down for maintenance"}))
    operation.refresh_from_db()
    assert operation.status == "Refused"
    said = re.sub("[\u2066-\u2069]", "", text(page_of(alice, operation)))
    assert "ACME answered 503: Down for maintenance. Given up after 1 try." in said
    assert str(operation.pk) in web(alice).get("/exchange/?error=maintenance").content.decode()


def test_headers_of_the_answer_are_kept_without_secrets_and_within_bounds(alice, acme, partner, give):
    headers = {
        "Retry_After": "7",
        "X_Trace": "abc-1",
        "Set_Cookie": "session=s3cret",
        "X_Auth_Token": "s3cret",
        "X_Auth": "s3cret",
        "Auth_Key": "s3cret",
        "X_Signature": "s3cret",
        "X_Sort_Key": "s3cret",
        "WWW_Authenticate": 'Bearer realm="desk"',
        "Location": "https://me:s3cret@desk.example/a?key=s3cret",
        "Content_Location": "//me:s3cret@desk.example/a/b#token=s3cret",
        "Link": '<https://x.example/1?k=s3cret>; rel="next", <https://s3cret@x.example/2>; rel="last"',
        "Refresh": "5; url=/again?key=s3cret;s3cret,s3cret#s3cret",
        "X_Long": "y" * 5000,
    }
    operation = refused(give, acme, partner, answer(422, {"detail": "No."}, **headers))
    page = unescape(page_of(alice, operation).content.decode())
    for kept in (
        *("Retry-After: 7", "X-Trace: abc-1", "X-Auth-Token: •••", "X-Auth: •••", "X-Signature: •••"),
        'WWW-Authenticate: Bearer realm="desk"',
        "Location: https://•••@desk.example/a?…",
        "Content-Location: //•••@desk.example/a/b#…",
        'Link: <https://x.example/1?…>; rel="next", <https://•••@x.example/2>; rel="last"',
        "Refresh: 5; url=/again?…",
    ):
        assert kept in page
    assert "s3cret" not in page
    assert "Set-Cookie" not in page
    assert len(DeliveryAttempt.objects.get().answer_headers) <= 2000


def test_headers_of_a_mapped_partner_have_no_secret_of_the_connection(alice, acme, partner, give):
    make_mapped(acme)
    revision = acme.connection
    revision.document = revision.document.replace("http://127.0.0.1:9/api", partner.url)
    revision.save()
    operation = refused(give, acme, partner, answer(422, {}, X_Echo="Bearer a-secret-key-9"))
    assert "X-Echo" in DeliveryAttempt.objects.get().answer_headers
    assert "a-secret-key-9" not in page_of(alice, operation).content.decode()


def test_the_request_as_curl_makes_the_same_signed_call(ingrid, alice, acme, partner, give, tmp_path):
    operation = refused(give, acme, partner, answer(422))
    page = page_of(ingrid, operation)
    lines = unescape(re.search(r'<pre[^>]*id="curl"[^>]*>(.*?)</pre>', page.content.decode(), re.DOTALL)[1])
    assert SECRET not in page.content.decode()
    payload = web(ingrid).get(f"/exchange/{operation.pk}/payload.json").content
    (tmp_path / f"{operation.pk}-payload.json").write_bytes(payload)
    done = subprocess.run(
        ["sh", "-euc", lines],
        cwd=tmp_path,
        env={"SIGNING_SECRET": SECRET, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "HTTP/1.1 200" in done.stdout, done.stderr
    headers, message, body = partner.received[-1]
    assert (message["id"], headers["webhook-id"]) == (str(operation.pk), str(operation.pk))
    assert signing.is_signed_by(SECRET, body, {name.lower(): value for name, value in headers.items()})
    # For those who may have the secret.
    assert 'id="curl"' not in page_of(alice, operation).content.decode()


def test_a_call_of_a_mapped_partner_as_curl_has_a_variable_for_each_secret(ingrid, acme, partner, give, tmp_path):
    make_mapped(acme)
    revision = acme.connection
    revision.document = revision.document.replace("http://127.0.0.1:9/api", partner.url)
    revision.save()
    operation = refused(give, acme, partner, answer(422))
    page = page_of(ingrid, operation).content.decode()
    lines = unescape(re.search(r'<pre[^>]*id="curl-\d+"[^>]*>(.*?)</pre>', page, re.DOTALL)[1])
    environment = {"SECRET": "a-secret-key-9", "PATH": "/usr/bin:/bin"}
    subprocess.run(["sh", "-euc", lines], env=environment, capture_output=True, check=True, timeout=60)
    first, again = partner.received[0], partner.received[-1]
    assert len(partner.received) == 2
    assert again[0]["Authorization"] == first[0]["Authorization"] == "Bearer a-secret-key-9"
    assert again[1] == first[1]


@each_row(("role", "is_told"), [(Role.AGENT, True), (Role.AUDITOR, True), (Role.INTEGRATION_ADMINISTRATOR, False)])
def test_who_may_not_retry_reads_who_may(acme, partner, give, role, is_told):
    operation = refused(give, acme, partner, answer(422))
    ingrid = UserFactory(username="ingrid", roles=[Role.INTEGRATION_ADMINISTRATOR])
    UserFactory(username="left", roles=[Role.INTEGRATION_ADMINISTRATOR], is_active=False)
    person = ingrid if role == Role.INTEGRATION_ADMINISTRATOR else UserFactory(username="somebody", roles=[role])
    said = text(page_of(person, operation))
    assert ("It can be retried by: ingrid." in said) == is_told
    assert ("Retry now" in said) != is_told
    assert ExternalSystem.objects.count() == 1


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "superusers"), (5, "person-0, person-1, person-2, person-3, person-4"), (6, "Integration administrator")],
)
def test_up_to_five_people_are_named_and_more_are_their_role(acme, partner, give, alice, count, told):
    operation = refused(give, acme, partner, answer(422))
    for number in reversed(range(count)):
        UserFactory(username=f"person-{number}", roles=[Role.INTEGRATION_ADMINISTRATOR])
    UserFactory(username="root", is_superuser=True, is_staff=True)
    assert f"It can be retried by: {told}." in text(page_of(alice, operation))
