"""Keyset paging: each row once and in order, forward and back, while changes are added."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase

from changes.models import Change
from tests.examples import examples
from tests.factories import ChangeFactory, UserFactory
from tests.pages import text, web
from tests.rows import each_row

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDERS = ["number", "-number", "priority", "-priority", "activity", "-activity", "planned_start", "-planned_start"]
# New changes sort before or after all existing ones, in every order.
URGENCIES = {0: "TotalLossOfService", 1: "SevereDisruption", 2: "SlightDisruption", 3: "NoDisruption"}
IMPACT = "Enterprise"


def numbers(response) -> list[str]:
    return re.findall(r'data-label="Number"><a href="/changes/(CHG\d+)/"', response.content.decode())


def link(response, rel) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', response.content.decode())
    return "/changes/" + found[1].replace("&amp;", "&").removeprefix("/changes/") if found else None


def make(kind: int, day: int | None) -> Change:
    """Makes changes with many equal values in the sorted fields, so that only the key tells them apart."""
    start = NOW + timedelta(days=day) if day is not None else None
    return ChangeFactory(
        title="A row", urgency=URGENCIES[kind], business_impact=IMPACT, planned_start=start, planned_end=None
    )


def walk(client, path, rel="next", meanwhile=lambda: None):
    """The numbers of the changes on all pages from `path` on, and the response of the last page."""
    seen, response = [], None
    while path:
        response = client.get(path)
        assert response.status_code == 200
        seen.append(numbers(response))
        meanwhile()
        path = link(response, rel)
    return seen, response


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr("changes.pages.list.paging.PAGE_SIZE", 3)
    # So small that a search has to read both the nearest changes and the rest.
    monkeypatch.setattr("changes.pages.list.paging.WINDOW", 2)


ROWS = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2)), min_size=0, max_size=11)


class AnyRows(TransactionTestCase):
    @pytest.fixture(autouse=True)
    def _small(self, small_pages):
        pass

    @settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(rows=ROWS, order=st.sampled_from(ORDERS), query=st.sampled_from(["", "&q=row", "&planned_from=2026-03-01"]))
    def test_every_row_comes_once_and_in_order_forward_and_back_while_rows_are_inserted(self, rows, order, query):
        client = web(UserFactory(username="alice", roles=["Service desk agent"]))
        there = [make(*row) for row in rows]
        if order.endswith("planned_start") or "planned" in query:
            there = [change for change in there if change.planned_start]
        expected = [change.number for change in sorted(there, key=lambda change: self.key(change, order))]
        if order.startswith("-"):
            expected.reverse()
        old = {*expected}
        path = f"/changes/?sort={order}{query}"

        pages, last = walk(client, path, meanwhile=lambda: make(2, 1))
        came = [number for page in pages for number in page]
        assert len(came) == len({*came})
        assert [number for number in came if number in old] == expected
        assert all(len(page) == 3 for page in pages[:-1])

        if numbers(last):
            back, _ = walk(client, link(last, "prev"), "prev", meanwhile=lambda: make(2, 1))
            came = [number for page in reversed(back) for number in page]
            assert len(came) == len({*came})
            on_last = {*numbers(last)}
            assert [number for number in came if number in old] == [n for n in expected if n not in on_last]

    def key(self, change, order):
        first = {
            "number": 0,
            "priority": ["Critical", "High", "Medium", "Low"].index(change.priority),
            "activity": change.last_activity_at,
            "planned_start": change.planned_start,
        }[order.removeprefix("-")]
        return first, change.pk


def test_pages_keep_the_filters_and_the_order(alice, small_pages):
    for _ in range(4):
        ChangeFactory()
    client = web(alice)
    first = client.get("/changes/?type=Normal&sort=activity&page=9")
    assert link(first, "prev") is None
    second = client.get(link(first, "next"))
    assert link(first, "next").startswith("/changes/?type=Normal&sort=activity&after=")
    assert link(second, "prev").startswith("/changes/?type=Normal&sort=activity&before=")
    assert 'href="/changes/?type=Normal&amp;sort=activity"' in second.content.decode()
    assert numbers(client.get(link(second, "prev"))) == numbers(first)


def test_the_total_is_exact_up_to_a_limit_and_then_an_estimate(alice, small_pages, monkeypatch):
    def said(query=""):
        return text(web(alice).get(f"/changes/{query}"))

    for expected in ("1 change ", "2 changes ", "3 changes ", "4 changes "):
        ChangeFactory(title="A row", planned_start=None, planned_end=None)
        assert f" {expected}" in said()
    assert " 0 changes " in said("?sort=planned_start")
    monkeypatch.setattr("changes.pages.list.total.COUNTED", 3)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    about = "About 4 changes" if connection.vendor == "postgresql" else "More than 3 changes"
    assert about in said()


# How many changes have the word, of the newest and of the older ones; the limits; what the list says.
WORDS = [
    ("all are on the page", 2, 0, 10, 1000, "2 changes"),
    ("all are new", 7, 0, 10, 1000, "7 changes"),
    ("frequent", 5, 3, 6, 1000, "More than 5 changes"),
    ("frequent, to the limit", 5, 3, 6, 4, "More than 4 changes"),
    ("rare among the newest", 1, 8, 6, 1000, "9 changes"),
    ("rare among the newest, to the limit", 1, 8, 6, 5, "More than 5 changes"),
]


@each_row(("_what", "new", "old", "window", "limit", "expected"), WORDS)
def test_the_total_of_a_search_is_counted_to_a_limit(
    alice, small_pages, monkeypatch, _what, new, old, window, limit, expected
):
    monkeypatch.setattr("changes.pages.list.paging.WINDOW", window)
    monkeypatch.setattr("changes.pages.list.total.WORDS_COUNTED", limit)
    # Keys beyond those of other tests; the newest is the last one.
    first = 10_000
    for key in range(old):
        ChangeFactory(pk=first + key, title="A row")
    for key in range(new):
        ChangeFactory(pk=first + 100 + key, title="A row")
    ChangeFactory(pk=first + 100 + window - 1, title="Another")
    for order in ("-number", "activity"):
        assert f" {expected} " in text(web(alice).get(f"/changes/?q=row&sort={order}"))
    assert f" {expected} " in text(web(alice).get("/changes/?q=row&type=Normal"))


def test_a_page_whose_rows_have_moved_away_leads_back(alice):
    change = ChangeFactory()
    page = text(web(alice).get(f"/changes/?type=Normal&after={change.pk}"))
    assert "Nothing more here" in page
    assert "First page" in page


@pytest.mark.parametrize("cursor", ["x", "1.x", "%00", "99999999999999999999.1", "1." + "9" * 40, ".", "1.1.1"])
@pytest.mark.parametrize("order", ["number", "priority", "activity", "planned_start"])
def test_a_place_that_does_not_exist_is_the_first_page(alice, order, cursor):
    change = ChangeFactory()
    assert numbers(web(alice).get(f"/changes/?sort={order}&after={cursor}")) == [change.number]
    assert numbers(web(alice).get(f"/changes/?sort={order}&before={cursor}")) == [change.number]


@each_row("place", [2**63 - 1, -(2**63) + 1])
@each_row("order", ["number", "-number"])
@each_row("query", ["", "&q=row", "&planned_from=2026-01-01"])
def test_the_largest_place_that_an_address_can_name_is_a_place(alice, place, order, query):
    change = ChangeFactory(title="A row", planned_start=NOW, planned_end=None)
    found = {*numbers(web(alice).get(f"/changes/?sort={order}&after={place}{query}"))}
    assert found <= {change.number}


def test_before_rows_that_are_gone_is_the_first_page(alice, small_pages):
    changes = [ChangeFactory() for _ in range(4)]
    second = web(alice).get(f"/changes/?after={changes[1].pk}")
    assert numbers(second) == [changes[0].number]
    gone = web(alice).get(f"/changes/?before={changes[3].pk}")
    assert numbers(gone) == [change.number for change in changes[:0:-1]]
    assert link(gone, "prev") is None
