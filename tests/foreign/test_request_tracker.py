"""The preset for Request Tracker, against Request Tracker."""

from __future__ import annotations

import pytest

from .desk import OLD
from .partnership import CONTENT, FILE_NAME, Partnership
from .play import OPENED, given, goes_there_and_back, is_given_back, news_comes, signed

pytestmark = pytest.mark.xdist_group("foreign")


@pytest.fixture(scope="module")
def rt(exchange, request_tracker):
    rt = Partnership(exchange, request_tracker, "RT")
    rt.connect(
        "request-tracker.yaml", {"https://rt.example.com": request_tracker.url}, {"RT_TOKEN": request_tracker.token}
    )
    return rt


def test_a_change_and_a_ticket(rt, request_tracker):
    number, ticket = given(rt, urgency="TotalLossOfService", planned_end="2026-12-01T10:30:15.123Z")
    rt.until("the file is there", lambda: request_tracker.files(ticket))
    assert request_tracker.files(ticket) == [(FILE_NAME, CONTENT)]
    assert request_tracker.texts(ticket) == [signed("alice"), FILE_NAME]
    fields = request_tracker.ticket(ticket)
    assert (fields["Status"], fields["Priority"], fields["Due"]) == ("open", "50", "2026-12-01T10:30:15Z")
    reference = rt.reference(number)
    assert reference["external_url"] == f"{request_tracker.url}/Ticket/Display.html?id={ticket}"

    request_tracker.note(ticket, "Only for us.")
    request_tracker.open("Without a text", "")
    request_tracker.reply_in_html(ticket, "<p>Und <b>bitte</b> lüften.</p>", "plan.txt")
    other, opened = news_comes(rt, number, ticket, "stalled")
    goes_there_and_back(rt, number, ticket, "resolved", "rejected")
    request_tracker.set_status(opened, "rejected")
    rt.poll_anew()
    is_given_back(rt, other)
    assert request_tracker.texts(opened) == []
    assert request_tracker.texts(ticket) == [signed("alice"), FILE_NAME, "Only for us.", "Ja, morgen früh."]
    assert [name for name, _ in request_tracker.files(ticket)] == [FILE_NAME, "plan.txt"]
    assert [body for author, body in rt.comments(number) if author == rt.author] == [
        "Und bitte lüften.\n\nAttached there: plan.txt",
        "Ja, morgen früh.",
        "Status: open → stalled",
    ]
    assert len(rt.comments(number)) == 4
    assert (rt.count(OLD), rt.count("Without a text"), rt.count(f"{OPENED} {rt.system_id}")) == (0, 1, 1)
