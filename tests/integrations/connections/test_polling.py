"""Polls: the partner's news becomes operations, each once, and our own doing never comes back as theirs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Change, Comment
from integrations.connections import polling, revisions, secrets
from integrations.models import ConnectionPoll, DeliveryControl, ExternalReference, IncomingOperation
from integrations.outgoing import delivery
from integrations.standing.status import all_statuses
from tests.refused_writes import refused
from tests.rows import each_row

from .conftest import connect, document_of
from .desk import Ticket

pytestmark = pytest.mark.django_db

POLL = """\
poll:
  every: 10
  list:
    get: /news
    query: {after: "{{ cursor or 0 }}", size: 3}
    items: "{{ body['items'] }}"
    page_size: 3
  cursor: "{{ item.id }}"
  external_id: "{{ item.ticket }}"
  skip_if: "{{ item.by == 'us' }}"
  operation:
    key: "{{ item.id }}"
    operation: "{{ 'Update' if known else 'Create' }}"
    external_id: "{{ external_id }}"
    external_status: "{{ item.status or omit }}"
    properties: {title: "{{ item.title if item.title is not none else omit }}"}
    comments: [{body: "{{ item.text or omit }}"}]
"""


@pytest.fixture
def polled(acme, desk):
    return connect(acme, document_of(desk, more=POLL), API_KEY="a-secret-key-9")


def news(desk, ticket, by="them", **values):
    desk.news.append(
        {"id": len(desk.news) + 1, "ticket": ticket, "by": by, "status": None, "title": None, "text": None, **values}
    )


def poll():
    ConnectionPoll.objects.update(due_at=timezone.now(), claimed_until=None)
    polling.poll_due()
    return ConnectionPoll.objects.get()


def taken():
    return [(row.operation, row.status, row.token) for row in IncomingOperation.objects.order_by("received_at", "id")]


def test_a_ticket_that_is_opened_there_becomes_a_change_here(polled, desk):
    news(desk, "T7", title="Their printer", text="It smokes", status="new")
    news(desk, "T7", text="Still smoking", status="open")
    row = poll()
    change = Change.objects.get()
    assert change.title == "Their printer"
    assert [comment.body for comment in Comment.objects.order_by("id")] == ["It smokes", "Still smoking"]
    assert ExternalReference.objects.get().external_status == "open"
    assert (row.cursor, row.failures, row.last_error, row.claimed_until) == (2, 0, "", None)
    assert taken() == [("Create", "Applied", "poll, revision 1"), ("Update", "Applied", "poll, revision 1")]
    desk.received.clear()
    delivery.drain()
    assert desk.received == []  # nothing of it goes back


def test_what_we_did_does_not_come_back(polled, desk, give_change, alice):
    change = give_change()
    delivery.drain()
    news(desk, "T1", by="us", text="our own comment", status="open")
    news(desk, "T1", text="theirs", status="stalled")
    poll()
    assert [comment.body for comment in change.comments.all()] == ["theirs"]
    assert ExternalReference.objects.get().external_status == "stalled"


def test_each_of_many_pages_is_read_and_nothing_twice(polled, desk):
    for number in range(8):
        news(desk, f"T{number}", title=f"Ticket {number}")
    row = poll()
    assert (Change.objects.count(), row.cursor) == (8, 8)
    assert len(desk.of("GET /news")) == 3
    ConnectionPoll.objects.update(cursor=0)  # as if the worker died before it kept the cursor
    poll()
    assert (Change.objects.count(), IncomingOperation.objects.count()) == (8, 8)


def test_an_entry_that_is_refused_is_logged_once_and_the_others_go_on(polled, desk):
    news(desk, "T1", title="")  # a Create without a title
    news(desk, "T2", title="Good")
    for _ in range(2):
        poll()
        ConnectionPoll.objects.update(cursor=0)
    assert [(operation, status) for operation, status, _ in taken()] == [("Create", "Failed"), ("Create", "Applied")]


def test_an_item_that_no_operation_can_be_made_of_is_logged_once_and_the_others_go_on(polled, desk):
    news(desk, "T1", title={"no": "text"})  # only its operation is wrong
    news(desk, None, title="Of no ticket")
    news(desk, "T2", title="Good")
    for _ in range(2):
        poll()
        ConnectionPoll.objects.update(cursor=0)
    assert [status for _, status, _ in taken()] == ["Failed", "Failed", "Applied"]
    assert [row.http_status for row in IncomingOperation.objects.order_by("received_at", "id")] == [400, 400, 201]


@pytest.mark.any_database
@pytest.mark.django_db(transaction=True)
def test_news_that_cannot_be_stored_now_is_taken_later(polled, desk):
    news(desk, "T7", title="Their printer")
    news(desk, "T8", title="Their scanner")
    with refused(3, "changes_change"):
        row = poll()
    assert (row.cursor, row.failures, "database is busy" in row.last_error) == (None, 1, True)
    row = poll()
    assert (row.cursor, row.failures, row.last_error) == (2, 0, "")
    assert [change.title for change in Change.objects.order_by("number")] == ["Their printer", "Their scanner"]


def test_a_list_by_pages_keeps_its_cursor_while_it_is_read(polled, desk):
    by_page = POLL.replace("size: 3}", "size: 3, page: '{{ page }}'}")
    connect(polled, document_of(desk, more=by_page))
    for number in range(7):
        news(desk, f"T{number}", title=f"Ticket {number}")
    assert poll().cursor == 7
    assert [(call.query["after"], call.query["page"]) for call in desk.of("GET /news")] == [
        (["0"], ["0"]),
        (["0"], ["1"]),
        (["0"], ["2"]),
    ] * 2  # the second time nothing has changed


class TestAnswering:
    """News that the partner repeats until it is answered, from a time on that its answer names."""

    ANSWERING = (
        POLL.replace('cursor: "{{ item.id }}"\n  ', "")
        .replace("size: 3}", "since: '{{ cursor }}'}")
        .replace("page_size: 3", 'cursor: "{{ headers.date|epoch }}"')
        + """\
  acknowledge:
    - name: answer
      when: "{{ change_number }}"
      put: /tickets/{{ external_id }}
      json: {ours: "{{ change_number }}"}
"""
    )

    @pytest.fixture
    def answered(self, acme, desk):
        desk.tickets["T7"] = Ticket("")
        news(desk, "T7", title="Their printer")
        return connect(acme, document_of(desk, more=self.ANSWERING), API_KEY="a-secret-key-9")

    def test_the_partner_gets_our_number(self, answered, desk):
        row = poll()
        assert row.last_error == ""
        assert desk.tickets["T7"].values == {"ours": Change.objects.get().number}
        assert abs(row.cursor - timezone.now().timestamp()) < 60
        poll()
        assert desk.of("GET /news")[-1].query["since"] == [str(row.cursor)]
        assert Change.objects.count() == 1

    def test_an_answer_that_is_not_taken_is_given_again_and_the_cursor_waits_for_it(self, answered, desk):
        desk.faults["PUT /tickets/T7"] = [503]
        row = poll()
        assert (row.cursor, row.failures) == (None, 1)
        assert poll().cursor is not None
        assert desk.tickets["T7"].values == {"ours": Change.objects.get().number}

    def test_an_answer_that_is_refused_is_logged_and_the_others_go_on(self, answered, desk):
        desk.faults["PUT /tickets/T7"] = [422]
        news(desk, "T8", title="Good")
        desk.tickets["T8"] = Ticket("")
        assert poll().cursor is not None
        assert [status for _, status, _ in taken()] == ["Applied", "Failed", "Applied"]
        assert "422" in IncomingOperation.objects.get(status="Failed").error


def test_a_system_that_does_not_answer_is_asked_less_and_less_often(polled, desk):
    desk.faults["GET /news"] = [503, 429, (200, b"no list"), (200, {"items": 7})]
    pauses = []
    for failures in range(1, 5):
        row = poll()
        assert (row.failures, row.polled_at) == (failures, None)
        assert row.last_error and row.failing_since
        pauses.append((row.due_at - timezone.now()).total_seconds())
    assert pauses == sorted(pauses) and pauses[0] > 10 and pauses[-1] > 100
    row = poll()
    assert (row.failures, row.failing_since, row.last_error) == (0, None, "")


def test_its_health_says_so(polled, desk):
    desk.faults["GET /news"] = [503] * 3
    for _ in range(3):
        poll()
    (found,) = [one for one in all_statuses() if one.system_id == "ACME"]
    assert (found.flow.condition, "the partner answered 503" in found.flow.detail) == ("unread", True)


def test_a_credential_that_is_refused_pauses_the_system(polled, desk):
    desk.faults["GET /news"] = [401]
    poll()
    polled.refresh_from_db()
    assert polled.pause_status == 401
    desk.received.clear()
    poll()
    assert desk.received == []


# The status of the list and its Retry-After, and the pause until the next poll, in seconds.
RETRY_AFTER = [
    (429, "300", 300),
    (503, "300", 300),
    (503, "5", 20),
    (503, "soon", 20),
    (429, "90000", 3600),
    (400, "300", 20),
]


@each_row(("status", "asked", "pause"), RETRY_AFTER)
def test_the_partner_may_ask_us_to_wait(polled, desk, status, asked, pause):
    desk.faults["GET /news"] = [(status, {}, {"Retry-After": asked})]
    before = timezone.now()
    row = poll()
    assert row.failures == 1
    assert before <= row.due_at - timedelta(seconds=pause) <= timezone.now()


OPEN = {"breaker": "Open", "breaker_opened_at": timezone.now()}
# The circuit breaker, and whether the system is polled.
BREAKERS = [
    ({}, True),
    ({**OPEN, "breaker_cause": "by_hand", "breaker_until": None}, False),
    ({**OPEN, "breaker_until": timezone.now() + timedelta(days=1)}, False),
    ({**OPEN, "breaker_until": timezone.now() - timedelta(hours=1)}, True),
    ({**OPEN, "breaker": "HalfOpen"}, True),
]


@each_row(("breaker", "is_polled"), BREAKERS)
def test_an_open_breaker_holds_polls_too(polled, desk, breaker, is_polled):
    DeliveryControl.objects.filter(system=polled).update(**breaker)
    desk.received.clear()
    poll()
    assert bool(desk.received) == is_polled


def test_a_failed_poll_does_not_open_the_breaker(polled, desk, settings):
    settings.BREAKER_FAILURES = 1
    desk.faults["GET /news"] = [503, 503]
    poll()
    assert poll().failures == 2
    assert DeliveryControl.objects.get(system=polled).breaker == "Closed"


# When the next poll is due, and until when a worker has it, both in seconds from now; and whether it is polled now.
TIMES = [
    (-1, None, True),
    (-1, 50, False),
    (-1, 86_400, True),
    (600, None, False),
    (86_400, None, True),
    (86_400, 86_400, True),
]


@each_row(("due", "claimed", "is_polled"), TIMES)
def test_a_time_that_is_impossibly_far_off_is_mended(polled, desk, due, claimed, is_polled):
    now = timezone.now()
    claimed_until = now + timedelta(seconds=claimed) if claimed else None
    ConnectionPoll.objects.update(due_at=now + timedelta(seconds=due), claimed_until=claimed_until)
    desk.received.clear()
    polling.poll_due()
    assert bool(desk.received) == is_polled


def test_a_system_that_is_polled_once_a_day_is_left_alone(polled, desk):
    connect(polled, document_of(desk, more=POLL.replace("every: 10", "every: 86400")))
    polling.poll_due()
    desk.received.clear()
    polling.poll_due()
    assert desk.received == []


def test_another_desk_or_another_cursor_begins_anew_and_an_edit_does_not(polled, desk):
    news(desk, "T1", title="Old")
    assert poll().cursor == 1
    for more, kept in (
        (POLL.replace("every: 10", "every: 20"), 1),
        (POLL.replace("item.id }}", "item.id|int }}", 1), None),
    ):
        revisions.activate(polled, document_of(desk, more=more), None, "edited")
        assert ConnectionPoll.objects.get().cursor == kept


def test_a_secret_that_is_mended_is_tried_at_once(polled, desk):
    desk.faults["GET /news"] = [401]
    poll()
    secrets.write(polled, {"API_KEY": "the-right-one"})
    assert ConnectionPoll.objects.get().due_at <= timezone.now()


def test_news_that_cannot_be_kept_holds_up_no_other(polled, desk):
    news(desk, "T\x001", title="Bad")
    news(desk, "T2", title="Good")
    row = poll()
    assert (row.cursor, row.failures) == (2, 0)
    assert [change.title for change in Change.objects.all()] == ["Good"]
    assert [status for _, status, _ in taken()] == ["Failed", "Applied"]


def test_a_key_that_was_done_is_dropped_before_anything_else(polled, desk):
    news(desk, "T1", title="Their printer")
    poll()
    once = POLL.replace("item.title is not none", "item.nothing")
    skipping = POLL.replace("item.by == 'us'", "item.nothing")
    for number, document in enumerate((once, skipping), start=1):
        connect(polled, document_of(desk, more=document))
        ConnectionPoll.objects.update(cursor=0)
        news(desk, "T1", by="us")
        poll()
        # Only the new entry meets what is wrong with the document.
        assert IncomingOperation.objects.filter(status="Failed").count() == (0 if number == 1 else 2), number
