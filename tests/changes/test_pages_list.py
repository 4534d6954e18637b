"""The list of changes: search, filters, sorting, paging, and the number of queries."""

import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import ChangeType, CompletionCode, Phase
from changes.models import Change, SavedFilter
from integrations.models import Exchange, ExternalReference, OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.pages import text, web
from tests.rows import each_row


def numbers(response) -> list[str]:
    """The numbers of the changes on the page, in order."""
    return re.findall(r'data-label="Number"><a href="/changes/(CHG\d+)/"', response.content.decode())


@pytest.fixture
def desk(db, acme, beta):
    """Five changes that differ in every filtered field."""
    acme_group, beta_group = acme.external_groups.get().group, beta.external_groups.get().group
    return {
        "logged": ChangeFactory(title="Replace core switch", description="-", urgency="TotalLossOfService"),
        "planned": change_in(
            Phase.PLAN, ChangeType.STANDARD, title="Renew certificates", description="-", owning_group=acme_group
        ),
        "deployed": change_in(
            Phase.DEPLOY, ChangeType.EMERGENCY, title="Patch hypervisors", description="-", owning_group=beta_group
        ),
        "closed": change_in(
            Phase.CLOSE, title="Upgrade PostgreSQL", description="-", owning_group=SupportGroupFactory(name="Data")
        ),
        "abandoned": change_in(
            Phase.ABANDON, title="Old mail relay", description="-", owning_group=None, service="Mail"
        ),
    }


@each_row(
    ("query", "expected"),
    [
        ("", {"logged", "planned", "deployed", "closed", "abandoned"}),
        ("q=core+switch", {"logged"}),
        ("q=MAIL", {"abandoned"}),
        ("phase=Deploy", {"deployed"}),
        ("metaphase=Done", {"closed", "abandoned"}),
        ("metaphase=Planning", {"planned"}),
        ("type=Emergency", {"deployed"}),
        ("priority=Medium", {"logged"}),
        ("code=Withdrawn", {"abandoned"}),
        ("code=null", {"logged", "planned", "deployed"}),
        ("group=null", {"abandoned"}),
        ("service=mail", {"abandoned"}),
        ("service=Ma", set()),
        ("partner=ACME", {"planned"}),
        ("partner=BETA", {"deployed"}),
        ("partner=NOBODY", set()),
        ("exchange=waiting", {"planned", "deployed"}),
        ("exchange=refused", set()),
        ("open=true", {"logged", "planned", "deployed"}),
        ("open=true&type=Standard", {"planned"}),
        ("phase=Log&type=Standard", set()),
    ],
)
def test_filters_live_in_the_address(alice, desk, query, expected):
    response = web(alice).get(f"/changes/?{query}")
    assert response.status_code == 200
    assert {name for name, change in desk.items() if change.number in numbers(response)} == expected


def test_the_number_is_found_too(alice, desk):
    assert numbers(web(alice).get(f"/changes/?q={desk['closed'].number.lower()}")) == [desk["closed"].number]


def test_the_owning_group_is_a_filter(alice, desk):
    group = desk["closed"].owning_group
    response = web(alice).get(f"/changes/?group={group.pk}")
    assert numbers(response) == [desk["closed"].number]
    assert f'<option value="{group.pk}" selected>Data</option>' in response.content.decode()


@each_row("query", ["phase=Nowhere", "priority=1", "group=999999", "type=x", "q=%00", "exchange=x"])
def test_a_filter_that_does_not_exist_is_said_and_lists_nothing(alice, desk, query):
    response = web(alice).get(f"/changes/?{query}")
    assert response.status_code == 200
    assert numbers(response) == []
    assert "A filter has a value that does not exist" in text(response)


@each_row(
    ("query", "count"),
    [
        ("partner=%00", 0),
        *((query, 5) for query in ("page=x", "page=0", "page=99999", "sort=x", "sort=--number")),
        ("open=x", 3),  # anything is a yes
    ],
)
def test_nonsense_in_the_address_never_breaks_the_page(alice, desk, query, count):
    assert len(numbers(web(alice).get(f"/changes/?{query}"))) == count


@each_row(
    ("order", "expected"),
    [
        ("", ["abandoned", "closed", "deployed", "planned", "logged"]),
        ("number", ["logged", "planned", "deployed", "closed", "abandoned"]),
        ("-number", ["abandoned", "closed", "deployed", "planned", "logged"]),
        ("priority", ["logged", "planned", "deployed", "closed", "abandoned"]),
        ("-priority", ["abandoned", "closed", "deployed", "planned", "logged"]),
        ("-activity", ["planned", "abandoned", "closed", "deployed", "logged"]),
        ("activity", ["logged", "deployed", "closed", "abandoned", "planned"]),
        ("planned_start", ["abandoned", "logged", "planned", "closed"]),
        ("-planned_start", ["closed", "planned", "logged", "abandoned"]),
    ],
)
def test_a_column_sorts_in_the_order_of_its_meaning(alice, desk, order, expected):
    planned = {"logged": 3, "planned": 5, "deployed": None, "closed": 9, "abandoned": 1}
    for name, day in planned.items():
        start = datetime(2026, 3, day, tzinfo=UTC) if day else None
        Change.objects.filter(pk=desk[name].pk)._update([(Change._meta.get_field("planned_start"), None, start)])
    desk["planned"].refresh_from_db()
    desk["planned"].title = "Renew all certificates"
    desk["planned"].save()
    response = web(alice).get(f"/changes/?sort={order}")
    assert numbers(response) == [desk[name].number for name in expected]
    direction = "descending" if order.startswith("-") or not order else "ascending"
    assert response.content.decode().count(f'aria-sort="{direction}"') == 1


def test_sorting_keeps_the_filters_and_turns_round_on_the_second_click(alice, desk):
    content = web(alice).get("/changes/?open=true&sort=priority&page=7").content.decode()
    assert "?open=true&amp;sort=-priority" in content
    assert "?open=true&amp;sort=planned_start" in content
    assert not re.search(r'href="[^"]*page=7', content)
    # A first click on a date sorts the newest first. The default order needs no parameter in the address.
    assert "?open=true&amp;sort=-activity" in content


@each_row("order", ["title", "-group", "phase", "type", "x", "--number", "-"])
def test_an_old_bookmark_with_an_order_that_is_gone_gets_the_newest_first_and_a_word_about_it(alice, desk, order):
    response = web(alice).get(f"/changes/?sort={order}&open=true")
    assert numbers(response) == [desk[name].number for name in ("deployed", "planned", "logged")]
    assert "does not have this order" in text(response)
    assert "does not have this order" not in text(web(alice).get("/changes/?sort=-activity"))


def test_a_change_without_a_planned_start_is_in_no_order_of_plans_and_the_page_says_so(alice):
    planned, _ = ChangeFactory(), ChangeFactory(planned_start=None, planned_end=None)
    response = web(alice).get("/changes/?sort=planned_start")
    assert numbers(response) == [planned.number]
    assert "only changes that have a planned start" in text(response)


def test_an_empty_list_says_what_to_do_next(alice, audrey):
    assert "Create the first change" in text(web(alice).get("/changes/"))
    assert "No changes yet" in text(web(audrey).get("/changes/"))
    assert "Create the first change" not in text(web(audrey).get("/changes/"))


def test_no_match_offers_the_way_back(alice, desk):
    assert "Show all changes" in text(web(alice).get("/changes/?q=nothing"))


def refuse(operation):
    OutgoingOperation.objects.filter(pk=operation.pk).update(status="Refused")


def deliver(operation):
    OutgoingOperation.objects.filter(pk=operation.pk).update(status="Delivered")


def test_the_exchange_state_is_said_in_words(alice, desk, acme, beta):
    planned = desk["planned"]
    page = lambda: text(web(alice).get("/changes/?partner=ACME"))  # noqa: E731
    assert "ACME holds it" in page()
    refuse(planned.outgoing_operations.get())
    assert "ACME holds it refused" in page()
    assert numbers(web(alice).get("/changes/?exchange=refused")) == [planned.number]
    deliver(planned.outgoing_operations.get())
    assert "refused" not in page().partition("Updated")[2]
    exchange = Exchange.objects.get(change=planned)
    exchange.state = exchange.state.after_reject()
    exchange.save()
    assert "ACME rejected it" in page()


def test_a_partner_that_only_has_a_reference_is_shown_as_linked(alice, desk, acme):
    ExternalReference.objects.create(change=desk["logged"], system=acme, external_id="C-1")
    response = web(alice).get("/changes/?partner=ACME&phase=Log")
    assert numbers(response) == [desk["logged"].number]
    assert "ACME: linked" in text(response)


def test_the_list_makes_at_most_ten_queries_whatever_the_number_of_rows(alice, desk, acme, beta):
    SupportGroupFactory(name="Ours").members.add(alice)
    client = web(alice)
    client.get("/changes/")
    asked_for = [
        "",
        "q=nothing+of+this",
        "q=e&partner=ACME&sort=priority",
        "group=mine&exchange=waiting&open=true",
        "phase=Nowhere",
    ]

    def counted():
        counts = {}
        for query in asked_for:
            with CaptureQueriesContext(connection) as asked:
                client.get(f"/changes/?{query}")
            counts[query] = len(asked)
        return counts

    few = counted()
    for number in range(20):
        group = (acme if number % 2 else beta).external_groups.get().group
        ChangeFactory(title="One more", owning_group=group)
        SavedFilter.objects.create(user=alice, name=f"Filter {number}", query="open=true")
        SupportGroupFactory(name=f"More {number}").members.add(alice)
    assert counted() == few
    assert max(few.values()) <= 10


def test_what_people_typed_is_never_markup(alice):
    ChangeFactory(title="<script>alert(1)</script>", owning_group=SupportGroupFactory(name="<b>Group</b>"))
    content = web(alice).get('/changes/?q="><script>alert(2)</script>').content.decode()
    assert "<script>" not in content
    content = web(alice).get("/changes/").content.decode()
    assert "<script>" not in content
    assert "&lt;script&gt;alert(1)" in content
    assert "<b>Group" not in content


def test_closing_codes_are_those_of_the_contract(alice, desk):
    content = web(alice).get("/changes/").content.decode()
    for code in CompletionCode:
        assert f'<option value="{code.value}">{code.label}</option>' in content
    assert Change.objects.count() == 5


def test_who_may_do_nothing_to_many_changes_has_nothing_to_tick(alice, audrey, desk):
    for user, ticks in ((alice, 5), (audrey, 0)):
        response = web(user).get("/changes/")
        assert len(numbers(response)) == 5
        assert response.content.decode().count('type="checkbox" name="change"') == ticks
