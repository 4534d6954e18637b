"""Search, the filters by person and by window, and the use of the filters by other pages."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.db import connection
from django.http import QueryDict

from changes.models import Change
from changes.pages.list import filters
from changes.queries.querysets import ChangeQuerySet
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory
from tests.pages import text, web
from tests.rows import each_row

from .test_list_paging import numbers

PART = {"HX-Request": "true"}


def found(user, query) -> set[str]:
    return {*numbers(web(user).get(f"/changes/?{query}"))}


@pytest.fixture
def library(db):
    """Changes by name, each with some words. All other texts are empty."""
    plain = {"description": "-", "service": "", "category": ""}
    return {
        "switch": ChangeFactory(**plain | {"title": "Replace core switch", "service": "Campus LAN"}),
        "router": ChangeFactory(**plain | {"title": "Core router", "description": "Behind the switch.\nVM 12"}),
        "mail": ChangeFactory(**plain | {"title": "Größe 100% der_Mail", "category": "Messaging"}),
    }


@each_row(
    ("typed", "expected"),
    [
        ("switch", "switch router"),
        ("SWITCH core", "switch router"),
        ("witc", "switch router"),
        ("campus replace", "switch"),
        ("messaging", "mail"),
        ("100%25", "mail"),
        ("r_M", "mail"),
        ("größe", "mail"),
        ("switch nothing", ""),
        ("vm", "router"),  # a short word matches only the beginning of a word
        ("m", "mail"),
        ("ll", ""),
        ("chg", "switch router mail"),
        ("CHG0", "switch router mail"),
        ("CHG9", ""),
        ("CHG99999999999999999999", ""),
        ("  ", "switch router mail"),
        ("%25", ""),
        ("\\", ""),
        ("switch'", ""),
    ],
)
def test_each_word_must_be_there_in_any_field_and_any_case(alice, library, typed, expected):
    assert found(alice, f"q={typed}") == {library[name].number for name in expected.split()}


@pytest.mark.parametrize("typed", ["änderung", "ÄNDERUNG", "derUNG", "изменение", "ИЗМ"])
def test_letters_of_any_script_are_found_small_and_large(alice, typed):
    ChangeFactory(title="Another", description="-")
    change = ChangeFactory(title="Änderung (Изменение)", description="-")
    assert found(alice, f"q={typed}") == {change.number}


SIGNS = r"""\fs7\c$ und \fs7\q9 'vi' =A7 +B8 @zz **DB** `ls` Kabel–K7 <m3> x&y2 a|p4 {v5} „w6“ (u1 –n*"""


def test_a_short_word_is_found_behind_white_space_and_any_usual_sign(alice):
    change = ChangeFactory(title=SIGNS, service="t1", description="Behind\tr1\r\ns1 evm, 1a.b")
    ChangeFactory(title="evm", description="a1")
    words = "c$ q9 VI A7 B8 zz @z DB ls K7 m3 y2 p4 v5 w6 u1 n* =A r1 s1 t1 b"
    assert [word for word in words.split() if found(alice, f"q={quote(word)}") != {change.number}] == []
    assert found(alice, "q=vm") == set()


def test_a_short_word_of_a_script_without_capitals_is_found_anywhere(alice):
    change = ChangeFactory(title="日本語の変更 Server🔥", description="-")
    ChangeFactory(title="Another", description="-")
    for word in ("変更", "更", "の", "🔥"):
        assert found(alice, f"q={quote(word)}") == {change.number}, word


def test_invisible_characters_of_pasted_text_do_not_matter(alice, acme):
    change = ChangeFactory(title="Kunden\u00adstammdaten", description="Rechnungs\u200bwesen")
    ExternalReference.objects.create(change=change, system=acme, external_id="RFC-1\u00e4")
    ChangeFactory(title="Another", description="-")
    for typed in (
        "Kundenstammdaten",
        "Kunden\u00adstammdaten",
        "Kunden\u200bstammdaten",
        "\u202aKundenstammdaten\u202c",
        '\u202a"Kundenstammdaten"\u202c',
        "Rechnungs\u200bwesen",
        f"\u202a{change.number}\u202c",
        f"\u200b{change.pk} \u200b",
    ):
        assert found(alice, f"q={quote(typed)}") == {change.number}, ascii(typed)
    for typed in (f"\u202a{change.number}\u202c", "\u200bRFC-1ä", f"#{change.pk}\u200b"):
        assert web(alice).get(f"/changes/?q={quote(typed)}&go=1")["Location"] == f"/changes/{change.number}/"
    assert len(found(alice, "q=%E2%80%8B")) == 2  # as if nothing was typed


def test_the_beginning_of_a_number_finds_the_numbers_that_begin_so(alice):
    changes = [ChangeFactory(title="-", description="-") for _ in range(12)]
    first = changes[0].number
    assert found(alice, f"q={first}") == {first}
    assert found(alice, f"q={first.lower()[:-1]}") == {c.number for c in changes if c.number.startswith(first[:-1])}
    assert found(alice, f"q={first} nothing") == set()


def test_numbers_of_any_length_are_told_by_their_beginning(db):
    keys = [1, 12, 120, 1_234_567, 9_999_999, 10_000_000, 12_345_678, 123_456_789_012, 2**63 - 1]
    for key in keys:
        ChangeFactory(pk=key)
    names = {change.pk: change.number for change in Change.objects.all()}
    for digits in (
        "",
        "0",
        "00",
        "0000012",
        "1",
        "12",
        "1234567",
        "12345678",
        "9",
        "922337",
        "9223372036854775807",
        "10",
    ):
        expected = {key for key, number in names.items() if number.startswith(f"CHG{digits}")}
        # Leading zeros of a number may be omitted.
        expected |= {key for key in keys if str(key) == digits}
        assert {*Change.objects.find(f"chg{digits}").values_list("pk", flat=True)} == expected


# --- A person's own ---


def test_my_groups_and_what_i_requested(alice, carol):
    mine = SupportGroupFactory(name="Mine")
    mine.members.add(alice)
    held = ChangeFactory(owning_group=mine, requested_by=carol)
    asked = ChangeFactory(owning_group=SupportGroupFactory(name="Other"), requested_by=alice)
    assert found(alice, "group=mine") == {held.number}
    assert found(alice, "requested=me") == {asked.number}
    assert found(carol, "group=mine") == set()
    assert found(alice, "group=mine&requested=me") == set()


# --- Windows ---


@pytest.fixture
def planned(db):
    def plan(start, end):
        moments = (datetime(2026, 3, *moment, tzinfo=UTC) if moment else None for moment in (start, end))
        return ChangeFactory(**dict(zip(("planned_start", "planned_end"), moments, strict=True)))

    return {
        "night": plan((1, 22), (2, 4)),
        "day": plan((3, 9), (3, 10)),
        "week": plan((1, 0), (8, 0)),
        "moment": plan((4, 0), None),
        "never": plan(None, None),
        "endless": plan(None, (3, 9)),
    }


@each_row(
    ("query", "expected"),
    [
        ("planned_from=2026-03-01&planned_to=2026-03-01", "night week"),
        ("planned_from=2026-03-02&planned_to=2026-03-02", "night week"),
        ("planned_from=2026-03-03&planned_to=2026-03-03", "day week"),
        ("planned_from=2026-03-04&planned_to=2026-03-04", "week moment"),
        ("planned_from=2026-03-08", ""),
        ("planned_from=2026-03-03", "day week moment"),
        ("planned_to=2026-03-01", "night week"),
        ("planned_to=2026-03-03", "night day week"),
    ],
)
def test_a_window_finds_what_has_some_time_in_common_with_its_days(alice, planned, query, expected):
    assert found(alice, query) == {planned[name].number for name in expected.split()}


def test_the_days_are_those_of_the_persons_time_zone(alice, planned):
    client = web(alice)
    client.cookies["timezone"] = "Pacific/Auckland"  # 13 hours ahead
    response = client.get("/changes/?planned_from=2026-03-04&planned_to=2026-03-04")
    assert {*numbers(response)} == {planned[name].number for name in ("week", "moment")}
    response = client.get("/changes/?planned_from=2026-03-03&planned_to=2026-03-03")
    assert {*numbers(response)} == {planned[name].number for name in ("day", "week")}
    response = client.get("/changes/?planned_from=2026-03-02&planned_to=2026-03-02")
    assert {*numbers(response)} == {planned[name].number for name in ("night", "week")}


@each_row(
    ("query", "message"),
    [
        ("planned_from=yesterday", "Enter a valid date"),
        ("planned_from=0001-01-01", "Give a year from 1900 to 9998"),
        ("planned_to=9999-12-31", "Give a year from 1900 to 9998"),
        ("planned_from=2026-03-02&planned_to=2026-03-01", "must not be before the first one"),
        ("phase=Nowhere", "Nowhere is not one of the available choices"),
        ("group=7000", "7000 is not one of the available choices"),
        ("partner=NOBODY", "NOBODY is not one of the available choices"),
        ("q=" + "x" * 201, "at most 200 characters"),
    ],
)
def test_a_wrong_value_is_named_beside_its_filter(alice, query, message):
    ChangeFactory()
    response = web(alice).get(f"/changes/?{query}")
    assert numbers(response) == []
    assert message in text(response)
    assert message in response.content.decode().split('class="error"')[1].split("</p>")[0]


# --- A part of the page ---


def test_a_script_gets_what_the_filters_alter_and_the_address_to_show(alice, library):
    client = web(alice)
    response = client.get("/changes/?q=campus&phase=&group=&sort=-number&after=", headers=PART)
    content = response.content.decode()
    assert numbers(response) == [library["switch"].number]
    assert "<html" not in content
    assert 'id="search"' not in content
    assert '<p class="count" id="found" role="status" hx-swap-oob="true">' in content
    assert response["HX-Push-Url"] == "/changes/?q=campus"
    assert "HX-Request" in response["Vary"]


def test_the_order_is_kept_while_somebody_types(alice, library):
    response = web(alice).get("/changes/?q=core&sort=activity", headers=PART)
    assert '<input type="hidden" name="sort" value="activity" form="filters">' in response.content.decode()
    assert response["HX-Push-Url"] == "/changes/?q=core&sort=activity"


@pytest.mark.parametrize(
    ("before", "header"),
    [
        ("/changes/", "HX-Push-Url"),
        ("/changes/?q=ca", "HX-Replace-Url"),
        ("/changes/?open=true&q=ca", "HX-Push-Url"),
        ("/changes/?q=campus", "HX-Push-Url"),
    ],
)
def test_back_leads_to_what_was_before_the_search(alice, before, header):
    asking = PART | {"HX-Current-URL": f"http://testserver{before}"}
    response = web(alice).get("/changes/?q=campus", headers=asking)
    assert {name for name in ("HX-Push-Url", "HX-Replace-Url") if name in response} == {header}
    assert response[header] == "/changes/?q=campus"


def test_going_back_gets_the_whole_page(alice, library):
    response = web(alice).get("/changes/?q=campus", headers=PART | {"HX-History-Restore-Request": "true"})
    assert "<html" in response.content.decode()


# --- What others ask ---


def test_matching_is_what_the_list_shows_whatever_page_it_is_on(alice, library):
    query = "q=core&page=4&after=1.1&sort=nothing&csrfmiddlewaretoken=x"
    for given in (query, QueryDict(query)):
        matching = filters.matching(given, alice)
        assert isinstance(matching, ChangeQuerySet)
        assert {*matching} == {library["switch"], library["router"]}
        assert not any(change.get_deferred_fields() for change in matching)
    assert filters.matching("", alice).count() == 3


def test_matching_refuses_a_wrong_filter_by_its_name(alice, library):
    with pytest.raises(filters.InvalidFilter, match=r"phase: .*Nowhere") as refused:
        filters.matching("phase=Nowhere&planned_from=x", alice)
    assert set(refused.value.errors) == {"phase", "planned_from"}


def test_matching_shows_nothing_to_who_may_see_nothing(library, acme):
    assert not filters.matching("", acme.authorized_user).exists()
    assert not filters.matching("", UserFactory()).exists()


# --- The indexes ---


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("q=switch", "change_search"),
        ("q=vm", "change_search"),
        ("q=c$", "change_search"),
        ("q=Kunden%C2%ADstammdaten", "change_search"),
        ("planned_from=2026-03-02&planned_to=2026-03-09", "change_window"),
    ],
)
def test_postgresql_finds_words_and_windows_by_their_indexes(alice, library, query, index):
    queryset = filters.matching(query, alice).order_by()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_indexscan = off")
        assert index in queryset.explain()
    assert queryset.count() == len(found(alice, query))
