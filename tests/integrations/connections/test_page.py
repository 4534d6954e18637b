"""The page of a connection: faults, drafts, Try, replay, activation, revisions and secrets."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.models import (
    ConnectionDraft,
    ConnectionRevision,
    ConnectionSecret,
    ExternalReference,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import delivery
from tests.pages import text, web
from tests.security.security_log import told

from .conftest import SECRET, document_of

pytestmark = pytest.mark.django_db
PAGE = "/exchange/systems/ACME/connection/"


@pytest.fixture
def page(mapped, ingrid):
    return web(ingrid)


def saved(page, document, **values):
    opened = re.search(r'name="opened" value="([^"]+)"', page.get(PAGE).content.decode())[1]
    return page.post(PAGE, {"document": document, "action": "save", "opened": opened, **values}, follow=True)


def activated(page, document, reason="It works"):
    return saved(page, document, action="activate", reason=reason)


def test_faults_stand_beside_their_lines_and_nothing_becomes_active(page, mapped, desk):
    faulty = document_of(desk).replace("get: /tickets\n", "get: /tickets\n      wen: now\n", 1)
    line = faulty.splitlines().index("      wen: now") + 1
    shown = activated(page, faulty)
    rows = re.findall(r'<tr class="faulty">.*?</tr>', shown.content.decode(), re.S)
    assert len(rows) == 1 and f'<th scope="row">{line}</th>' in rows[0] and "wen" in rows[0]
    assert f'data-line="{line}"' in rows[0]
    assert "It has faults, so it was only saved as a draft." in text(shown)
    mapped.refresh_from_db()
    assert (mapped.connection.number, ConnectionDraft.objects.get().document) == (1, faulty)


def test_the_number_of_refused_news_leads_to_them(page, mapped):
    for days in (1, 6, 8):
        came = IncomingOperation.objects.create(
            system=mapped,
            user=mapped.authorized_user,
            status="Failed",
            operation="Update",
            http_status=409,
            body_sha256="",
        )
        IncomingOperation.objects.filter(pk=came.pk).update(received_at=timezone.now() - timedelta(days=days))
    found = re.search(r'href="([^"]+status=Failed[^"]*)">(\d+)</a>', page.get(PAGE).content.decode())
    listed = page.get(html.unescape(found[1])).content.decode().partition("<tbody")[2].count("<tr")
    assert (int(found[2]), listed) == (2, 2)


def test_a_draft_is_sent_by_nobody_until_it_is_activated(page, mapped, desk, give_change, ingrid):
    draft = document_of(desk).replace("{{ change.title }}", "{{ change.title }} (ours)")
    assert "The draft is saved." in text(saved(page, draft))
    give_change(title="First")
    delivery.drain()
    assert "Revision 2 is active." in text(activated(page, draft, "Says whose it is"))
    give_change(title="Second")
    delivery.drain()
    assert [ticket.values["subject"] for ticket in desk.tickets.values()] == ["First", "Second (ours)"]
    revision = ConnectionRevision.objects.get(number=2)
    assert (revision.activated_by, revision.reason, revision.document) == (ingrid, "Says whose it is", draft)
    assert not ConnectionDraft.objects.exists()
    assert "ingrid activated revision 2 of the connection of ACME." in told()


def test_what_waits_is_sent_by_the_revision_that_is_active_then(page, mapped, desk, give_change):
    desk.faults["POST /tickets"] = [422]
    give_change(title="Waiting")
    delivery.drain()
    activated(page, document_of(desk).replace("{{ change.title }}", "Mended"))
    OutgoingOperation.objects.update(status="Waiting")
    delivery.drain()
    assert [ticket.values["subject"] for ticket in desk.tickets.values()] == ["Mended"]


@pytest.mark.parametrize(
    ("reason", "changed", "said"),
    [
        ("", True, "Give a reason for activating it."),
        ("Again", False, "This document is active already: nothing was changed."),
    ],
)
def test_no_activation_without_a_reason_or_a_change(page, desk, reason, changed, said):
    document = document_of(desk).replace("open", "opened") if changed else document_of(desk)
    assert said in text(activated(page, document, reason))
    assert ConnectionRevision.objects.count() == 1


def test_the_lines_of_a_browser_are_the_same_document(page, desk):
    assert "active already" in text(activated(page, document_of(desk).replace("\n", "\r\n")))


def test_nobody_replaces_what_somebody_else_did_meanwhile(page, mapped, desk):
    """The page of one was opened before the other activated a document."""
    opened = re.search(r'name="opened" value="([^"]+)"', page.get(PAGE).content.decode())[1]
    theirs = document_of(desk).replace("open", "theirs")
    activated(page, theirs)
    ours = document_of(desk).replace("open", "ours")
    refused = page.post(PAGE, {"document": ours, "action": "activate", "reason": "Ours", "opened": opened})
    assert "Somebody saved a draft or activated a revision since you opened this page." in text(refused)
    assert "ours" in refused.content.decode()
    mapped.refresh_from_db()
    assert mapped.connection.document == theirs
    again = re.search(r'name="opened" value="([^"]+)"', refused.content.decode())[1]
    page.post(PAGE, {"document": ours, "action": "activate", "reason": "Ours", "opened": again})
    mapped.refresh_from_db()
    assert mapped.connection.document == ours


def test_a_document_is_saved_before_the_password_is_asked_again(mapped, desk, ingrid, settings):
    settings.CONFIRMED_FORM_AGE = 0
    page = web(ingrid)
    draft = document_of(desk).replace("open", "opened")
    activated(page, draft)
    assert ConnectionDraft.objects.get().document == draft
    assert ConnectionRevision.objects.count() == 1


def test_try_shows_each_call_and_sends_nothing(page, desk, give_change, alice):
    change = give_change(title="Replace core switch")
    Comment(change=change, author=alice, body="Mind the cables").save()
    for operation, expected in {
        "Assign": ["GET", "POST", "PUT", "GET", "Replace core switch", "external_id-of-create"],
        "Update": ["POST", "comments", "Mind the cables"],
        "Accept": ["The document has no steps for this operation"],
    }.items():
        shown = text(page.get(f"{PAGE}try/", {"change": change.number, "operation": operation}))
        assert all(each in shown for each in expected), operation
        assert SECRET not in shown
    assert desk.received == []
    assert "There is no change CHG9999999." in text(
        page.get(f"{PAGE}try/", {"change": "CHG9999999", "operation": "Assign"})
    )


def test_a_test_record_is_made_and_withdrawn_there_and_kept_nowhere_here(page, desk):
    shown = page.post(f"{PAGE}try/")
    assert SECRET not in shown.content.decode()
    (ticket,) = desk.tickets.values()
    assert (ticket.number[:4], ticket.status) == ("TEST", "dropped")
    assert "please ignore" in ticket.values["subject"]
    assert not OutgoingOperation.objects.exists() and not ExternalReference.objects.exists()


def test_a_replay_shows_where_the_draft_differs(page, desk, give_change, alice):
    change = give_change(title="Replace core switch")
    Comment(change=change, author=alice, body="Mind the cables").save()
    delivery.drain()
    desk.received.clear()
    saved(page, document_of(desk).replace("subject:", "topic:"))
    shown = page.get(f"{PAGE}replay/")
    assert "1 of 2 operations differ" in text(shown)
    lines = re.findall(r'class="(added|removed)">(.*?)\n', shown.content.decode())
    assert [(kind, "topic" in line, "subject" in line) for kind, line in lines] == [
        ("removed", False, True),
        ("added", True, False),
    ]
    assert desk.received == []


def test_back_to_an_earlier_revision_in_a_click(page, mapped, desk):
    first = mapped.connection.document
    activated(page, first.replace("open", "opened"))
    assert "opened" in text(page.get(f"{PAGE}revisions/2/"))
    assert "Revision 3 is active. Its document is that of revision 1." in text(
        page.post(f"{PAGE}revisions/1/", follow=True)
    )
    mapped.refresh_from_db()
    assert (mapped.connection.number, mapped.connection.went_back_to, mapped.connection.document) == (3, 1, first)


def test_a_secret_is_written_and_never_shown(page, mapped):
    mapped.paused_at, mapped.pause_status = "2026-01-01T00:00Z", 401
    mapped.save()
    shown = page.post(f"{PAGE}secrets/", {"name": "API_KEY", "value": "the-new-key"}, follow=True)
    assert "The secret API_KEY is written." in text(shown)
    assert "the-new-key" not in shown.content.decode()
    assert ConnectionSecret.objects.get().value == "the-new-key"
    mapped.refresh_from_db()
    assert mapped.paused_at is None  # it may be what was wrong
    assert told()[-2:] == [
        "ingrid wrote secrets of the connection of ACME: API_KEY.",
        "ingrid resumed the system ACME.",
    ]
    page.post(f"{PAGE}secrets/", {"name": "API_KEY", "value": ""})
    assert not ConnectionSecret.objects.exists()
    assert "names secrets that nobody has written yet" in text(page.get(PAGE))
    assert "Name: Write letters, digits" in text(
        page.post(f"{PAGE}secrets/", {"name": "a b", "value": "x"}, follow=True)
    )


def test_only_a_mapped_system_has_one(mapped, beta, ingrid, carol):
    assert web(ingrid).get("/exchange/systems/BETA/connection/").status_code == 404
    assert web(ingrid).get("/exchange/systems/ACME/connect/").url == PAGE
    assert web(carol).get(PAGE).status_code == 403
