"""Lists of several pages, which change while they are read: nothing is lost, and what cannot go on is told."""

from __future__ import annotations

from itertools import groupby

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.models import Change
from integrations.connections import polling
from integrations.connections.document import faults_of
from integrations.models import ConnectionPoll, IncomingOperation
from tests.rows import each_row

from .conftest import connect, document_of

pytestmark = pytest.mark.django_db

POLL = """\
poll:
  every: 10
  list:
    get: /news
    query: {since: "{{ cursor or 0 }}", size: 3PAGE}
    items: "{{ body['items'] }}"
    page_size: 3
  cursor: "{{ item.at }}"
  external_id: "{{ item.ticket }}"
  operation:
    key: "{{ item.ticket ~ '-' ~ item.at }}"
    operation: "{{ 'Update' if known else 'Create' }}"
    external_id: "{{ external_id }}"
    properties: {title: "{{ item.title }}"}
"""
BY_CURSOR, BY_PAGE = POLL.replace("PAGE", ""), POLL.replace("PAGE", ', page: "{{ page }}"')


def list_of(desk, *times):
    """A list of tickets, each changed at one of these times."""
    desk.news = [
        {"id": number + 1, "ticket": f"T{number}", "at": at, "title": f"Ticket {number}"}
        for number, at in enumerate(times)
    ]


def updated(desk, number, at):
    return lambda: desk.news[number].update(at=at, title=f"Ticket {number}, at {at}")


def poll():
    ConnectionPoll.objects.update(due_at=timezone.now(), claimed_until=None)
    polling.poll_due()
    return ConnectionPoll.objects.get()


def titles():
    return sorted(Change.objects.values_list("title", flat=True))


# When each ticket was changed, which of them is changed again behind each answer, the cursor, and the calls.
PAGED = [
    ("one page", (1, 2), [], 2, 1),
    ("several", (1, 2, 3, 4, 5, 6, 7), [], 7, 6),
    ("one that moves up is met by the second pass", (1, 2, 3, 4, 5, 6), [(0, 8)], 8, 9),
    ("one after the other", (1, 2, 3, 4, 5, 6), [(0, 8), (1, 9), (2, 10)], 10, 9),
    ("all at one time", (5,) * 8, [], 5, 6),
]


@each_row(("name", "times", "between", "cursor", "calls"), PAGED)
def test_a_list_by_page_is_read_until_it_is_twice_the_same(acme, desk, name, times, between, cursor, calls):
    connect(acme, document_of(desk, more=BY_PAGE), API_KEY="a-secret-key-9")
    list_of(desk, *times)
    desk.received.clear()
    desk.between = [updated(desk, number, at) for number, at in between]
    row = poll()
    assert (row.cursor, row.last_error, len(desk.of("GET /news"))) == (cursor, "", calls)
    assert len({call.query["since"][0] for call in desk.of("GET /news")}) == 1
    assert titles() == sorted(item["title"] for item in desk.news)
    assert not IncomingOperation.objects.exclude(status="Applied").exists()


def test_a_list_that_never_is_the_same_twice_leaves_behind_only_its_certain_beginning(acme, desk):
    connect(acme, document_of(desk, more=BY_PAGE), API_KEY="a-secret-key-9")
    list_of(desk, 1, 2, 3, 4, 5, 6)
    desk.between = [updated(desk, 5, 10 + number) for number in range(60)]
    row = poll()
    assert (row.cursor, row.last_error) == (5, "")
    assert titles()[:5] == [f"Ticket {number}" for number in range(5)]
    list_of(desk, *range(11, 17))
    desk.between = [updated(desk, number % 6, 100 + number) for number in range(60)]
    row = poll()
    assert (row.cursor, row.failures) == (5, 1)
    assert "the list was another one from its first item on" in row.last_error


# When each ticket was changed, and the number of the answer whose cursor is kept: with several pages that of the last
# answer of the pass before, since what is changed later than that may slip past.
@each_row(("times", "cursor"), [((1, 2), 1), ((1, 2, 3, 4, 5, 6, 7), 3)])
def test_a_cursor_of_the_whole_answer(acme, desk, times, cursor):
    of_answer = BY_PAGE.replace('  cursor: "{{ item.at }}"\n', "")
    of_answer = of_answer.replace("    page_size: 3\n", "    page_size: 3\n    cursor: \"{{ body['number'] }}\"\n")
    connect(acme, document_of(desk, more=of_answer), API_KEY="a-secret-key-9")
    desk.received.clear()
    list_of(desk, *times)
    row = poll()
    assert (row.cursor, row.last_error, len(titles())) == (cursor, "", len(times))


def test_a_list_that_ignores_the_page_is_told(acme, desk):
    connect(acme, document_of(desk, more=BY_PAGE.replace("page:", "side:")), API_KEY="a-secret-key-9")
    list_of(desk, 1, 2, 3)
    assert poll().last_error == "poll.list: page 1 has the same items as page 0. Check `page`."


# When each ticket was changed, the cursor, the error, and how many became changes.
BY_TIME = [
    ((1, 2, 3, 4, 5), 5, "", 5),
    ((1, 2, 2, 2), 2, "3 items or more have the cursor 2", 4),
    ((5,) * 8, 5, "3 items or more have the cursor 5", 3),
]


@each_row(("times", "cursor", "error", "count"), BY_TIME)
def test_more_items_of_one_cursor_than_a_page_has(acme, desk, times, cursor, error, count):
    connect(acme, document_of(desk, more=BY_CURSOR), API_KEY="a-secret-key-9")
    list_of(desk, *times)
    for failures in (1, 2):
        row = poll()
        assert (row.cursor, row.failures, Change.objects.count()) == (cursor, failures if error else 0, count)
        assert error in row.last_error
        assert ("Raise page_size, or let the list go on by `page`." in row.last_error) == bool(error)


def test_a_list_by_page_needs_a_key():
    document = "base_url: https://desk.example.com\n"
    without = BY_PAGE.replace("""    key: "{{ item.ticket ~ '-' ~ item.at }}"\n""", "")
    assert faults_of(document + BY_PAGE) == []
    (fault,) = faults_of(document + without)
    assert (fault.path, "Give it a key" in fault.message) == ("poll.operation", True)


@each_row(("poll_of",), [(BY_CURSOR,), (BY_PAGE,)])
def test_a_long_page_gives_way_and_keeps_its_lease_and_its_cursor(acme, beta, desk, monkeypatch, poll_of):
    monkeypatch.setattr(polling, "TURN", 0)
    document = document_of(desk, more=poll_of.replace("3", "50"))
    for system in (acme, beta):
        connect(system, document, API_KEY="a-secret-key-9")
    list_of(desk, *range(1, 11))
    with CaptureQueriesContext(connection) as captured:
        polling.poll_due()
    senders = IncomingOperation.objects.order_by("received_at", "id").values_list("system__system_id", flat=True)
    assert len(senders) == 20
    # They take turns: neither has all of its ten in a row. While one waits for its list the other goes on.
    assert max(len([*same]) for _, same in groupby(senders)) < 10
    kept = [one["sql"] for one in captured if one["sql"].startswith('UPDATE "integrations_connectionpoll"')]
    kept = [sql for sql in kept if '"cursor"' in sql and '"claimed_until"' in sql and '"due_at"' not in sql]
    assert len(kept) > 20
    assert {row.cursor for row in ConnectionPoll.objects.all()} == {10}
