"""A ping says whether a partner can be reached. It changes nothing there or here."""

import re
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Change
from integrations.connections.revisions import connection_of_revision
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, IncomingOperation, OutgoingOperation
from tests.integrations.partner import Partner, answer, hang_up
from tests.mapped import DOCUMENT, make_mapped
from tests.pages import asked_for, text, web
from tests.rows import each_row

PING = "/exchange/systems/ACME/ping/"


@pytest.fixture
def there(acme, settings):
    """A server at ACME's address, which also knows OPTIONS."""
    settings.DELIVERY_TIMEOUT = 2
    partner = Partner()
    ExternalSystem.objects.update(endpoint_url=partner.url)
    yield partner
    partner.close()


def ping(person, **headers):
    return web(person).post(PING, **headers)


def test_it_is_a_request_that_nobody_can_take_for_an_operation(ingrid, there):
    said = text(ping(ingrid))
    ((method, headers, body),) = there.asked
    assert (method, body) == ("OPTIONS", b"")
    # A signature would be that of an operation with an empty body.
    assert not any(name.lower().startswith("webhook-") for name in headers)
    assert headers["User-Agent"].startswith("casexchange/")
    assert there.received == []
    assert "ACME is reachable" in said
    for fact in (f"OPTIONS {there.url}", "Answer 200", "Address 127.0.0.1", "Encryption not encrypted"):
        assert fact in said
    kept = (Change, OutgoingOperation, DeliveryAttempt, IncomingOperation)
    assert [model.objects.count() for model in kept] == [0, 0, 0, 0]


ANSWERS = [
    (answer(204, Allow="OPTIONS, POST"), "ok", "ACME is reachable, and its address takes POST (204)."),
    (answer(405, Allow="POST"), "ok", "takes POST (405)."),
    (answer(501), "ok", "a server answers at its address (501)."),
    (answer(200, Allow="GET, HEAD"), "bad", "Nothing accepts operations at the address of ACME (200)."),
    (answer(302, Location="/x"), "bad", "ACME sends us to another address (302)"),
    (answer(401), "ok", "ACME is reachable, and refuses what is not signed (401)."),
    (answer(403), "ok", "ACME is reachable, and refuses what is not signed (403)."),
    (answer(410), "bad", "ACME accepts no more requests at this address (410)."),
    (answer(404, b"Cannot OPTIONS"), "wait", "ACME is reachable, and answers 404 to a ping."),
    (answer(503), "bad", "ACME cannot take the ping now (503)."),
    (hang_up, "bad", "The connection to ACME broke."),
]


@each_row(("answered", "tone", "said"), ANSWERS)
def test_each_answer_is_explained_and_pauses_nothing(ingrid, there, answered, tone, said):
    there.default = answered
    response = ping(ingrid)
    assert said in text(response)
    assert f'callout tone-{tone}"' in response.content.decode()
    system = ExternalSystem.objects.get()
    assert (system.paused_at, system.pause_status) == (None, None)
    assert DeliveryControl.objects.get().consecutive_failures == 0


@each_row(
    ("url", "said"),
    [
        ("http://127.0.0.1:9/operations", "Nothing accepts connections at the address of ACME."),
        ("https://no-such-host.invalid/", "The host name of ACME is not known."),
        ("http://10.0.0.1/operations", "The address of ACME is in a network that this server may not reach."),
    ],
)
def test_what_no_answer_means_is_said_as_of_a_test_operation(ingrid, acme, settings, url, said):
    settings.DELIVERY_TIMEOUT = 2
    ExternalSystem.objects.update(endpoint_url=url)
    assert said in text(ping(ingrid))


@each_row("delivery", ["pull", "smax"])
def test_a_partner_that_calls_us_is_not_called_and_the_page_says_when_it_came(ingrid, there, delivery):
    ExternalSystem.objects.update(delivery=delivery)
    assert "ACME has not come yet." in text(ping(ingrid))
    DeliveryControl.objects.update(asked_at=timezone.now())
    said = text(ping(ingrid))
    assert "ACME comes by itself." in said
    assert "ACME last asked for its operations just now" in said
    assert there.asked == []


MAPPED = [
    (answer(200, []), "ok", "ACME is reachable, and takes our credentials."),
    (answer(401), "bad", "ACME does not accept our credentials (401)."),
    (answer(503), "bad", "ACME cannot take the ping now (503)."),
    (answer(404, {"detail": "a-secret-key-9 is unknown"}), "bad", "ACME answered what the document does not expect"),
]


def mapped(there, monkeypatch, document=DOCUMENT) -> ExternalSystem:
    acme = ExternalSystem.objects.get()
    base = there.url.removesuffix("/operations")
    monkeypatch.setattr("tests.mapped.DOCUMENT", re.sub(r"base_url: .*", f"base_url: {base}", document))
    connection_of_revision.cache_clear()  # SQLite uses the key of a rolled back revision again
    make_mapped(acme)
    return acme


@each_row(("answered", "tone", "said"), MAPPED)
def test_a_mapped_partner_is_asked_for_its_news_which_only_reads(ingrid, there, monkeypatch, answered, tone, said):
    there.default = answered
    acme = mapped(there, monkeypatch)
    response = ping(ingrid)
    assert said in text(response)
    assert f'callout tone-{tone}"' in response.content.decode()
    ((method, headers, _body),) = there.asked[-1:]
    assert (method, headers["Authorization"]) == ("GET", "Bearer a-secret-key-9")
    assert "a-secret-key-9" not in response.content.decode()
    acme.refresh_from_db()
    assert acme.paused_at is None
    assert acme.poll.cursor is None


WITHOUT_NEWS = [
    (answer(204, Allow="GET, HEAD"), "ok", "ACME is reachable: a server answers at its address (204)."),
    (answer(405), "ok", "so base_url was asked, without credentials"),
    (answer(401), "ok", "ACME is reachable, and refuses a call without credentials (401)."),
    (answer(302, Location="/x"), "bad", "Write the address that holds now as base_url"),
    (answer(410), "bad", "ACME accepts no more requests at this address (410)."),
    (answer(404), "wait", "ACME is reachable, and answers 404 to a ping. Many programs answer so at base_url itself."),
    (answer(503), "bad", "ACME cannot take the ping now (503)."),
]


@each_row(("answered", "tone", "said"), WITHOUT_NEWS)
def test_a_mapped_partner_without_a_list_of_news_is_asked_at_base_url(ingrid, there, monkeypatch, answered, tone, said):
    mapped(there, monkeypatch, re.sub(r"poll:\n(  .*\n)+", "", DOCUMENT))
    there.default = answered
    response = ping(ingrid)
    assert said in text(response)
    assert f'callout tone-{tone}"' in response.content.decode()
    ((method, headers, _body),) = there.asked[-1:]
    assert (method, "Authorization" in headers) == ("OPTIONS", False)
    assert "takes our credentials" not in text(response)


def test_of_a_sign_in_a_ping_says_that_it_succeeded_and_no_more(ingrid, there, monkeypatch):
    request = "{post: /login, json: {key: k}}"
    login = f"auth: {{kind: login, request: {request}, token: '{{{{ body.t }}}}', send: {{header: X-Key}}}}"
    document = re.sub(r"auth: .*", login, re.sub(r"(poll|inbox):\n(  .*\n)+", "", DOCUMENT))
    mapped(there, monkeypatch, document)
    there.default = answer(200, {"t": "T"})
    said = text(ping(ingrid))
    assert "The sign-in succeeded." in said
    assert "takes our credentials" not in said
    assert [method for method, _headers, _body in there.asked][-1] == "OPTIONS"


def test_without_an_active_document_there_is_nothing_to_ping(ingrid, there):
    ExternalSystem.objects.update(delivery="mapped")
    assert "Activate a document on the page of its connection." in text(ping(ingrid))
    assert there.asked == []


def test_it_can_be_a_part_of_a_page_and_is_linked_where_the_system_is(ingrid, alice, acme, there):
    part = ping(ingrid, headers=asked_for()).content.decode()
    assert "<main" not in part
    assert "ACME is reachable" in part
    pages = (
        "/exchange/status/",
        "/exchange/systems/ACME/connect/",
        f"/admin/integrations/externalsystem/{acme.pk}/change/",
    )
    for address in pages:
        assert f'href="{PING}"' in web(ingrid).get(address).content.decode(), address
    assert web(alice).post(PING).status_code == 403
    assert len(there.asked) == 1


# --- One at a time, and not for long ---

BUSY = "Somebody else pings ACME right now."


def ends_in(seconds):
    DeliveryControl.objects.update(pinging_until=seconds and timezone.now() + timedelta(seconds=seconds))


@each_row(
    ("left", "is_called"),
    [(None, True), (10, False), (-1, True)],  # nobody pings; somebody does; somebody did, and died
)
def test_while_somebody_pings_a_system_nobody_else_does(ingrid, there, left, is_called):
    there.asked.clear()
    ends_in(left)
    said = text(ping(ingrid))
    assert (BUSY in said, bool(there.asked)) == (not is_called, is_called)
    if is_called:
        assert BUSY not in text(ping(ingrid))


def test_one_system_is_pinged_while_another_one_is(ingrid, there, beta):
    ends_in(10)
    DeliveryControl.objects.filter(system=beta).update(pinging_until=None)
    assert "BETA" in text(web(ingrid).post("/exchange/systems/BETA/ping/"))
    assert "pings BETA" not in text(web(ingrid).post("/exchange/systems/BETA/ping/"))


@each_row("is_mapped", [False, True])
def test_a_ping_of_a_silent_partner_ends_and_lets_the_next_one_in(ingrid, there, monkeypatch, settings, is_mapped):
    settings.DELIVERY_TIMEOUT = 30
    monkeypatch.setattr("integrations.pages.ping.calls.SECONDS", 0.3)
    if is_mapped:
        mapped(there, monkeypatch)
    there.default = there.hang
    began = time.monotonic()
    for _ in range(2):
        assert "ACME did not answer in time." in text(ping(ingrid))
    assert time.monotonic() - began < 10
    assert DeliveryControl.objects.get().pinging_until is None
