"""Reading changes over the API: a single one, and the list with its filters and pages."""

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.api.serializers import ChangeSerializer
from changes.choices import ChangeType, Phase
from changes.models import Change
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.reading import as_read
from tests.rows import each_row

CHANGES = "/api/v1/changes/"


def numbers(answer):
    assert answer.status_code == 200, answer.content
    assert set(answer.json()) == {"next", "previous", "results"}
    return [change["number"] for change in answer.json()["results"]]


@pytest.mark.any_database
@pytest.mark.parametrize(
    "make",
    [
        lambda: Change.objects.create(title="Bare"),
        lambda: ChangeFactory(planned_start=datetime(2026, 1, 1, tzinfo=UTC), planned_end=None),
        lambda: change_in(Phase.VALIDATE, ChangeType.STANDARD),
        lambda: change_in(Phase.CLOSE, description="Zürich\n\t“ok” 😀"),
    ],
    ids=["bare", "whole second", "validate", "closed"],
)
def test_a_change_reads_as_in_a_payload_with_its_last_activity(api, alice, acme, make):
    change = make()
    reference = ExternalReference.objects.create(
        change=change, system=acme, external_id="C-1", external_url="https://desk.acme.example/C-1"
    )
    change.refresh_from_db()
    read = api(alice).get(f"{CHANGES}{change.number}/").json()
    assert read == as_read(change, [reference])
    assert list(read) == list(as_read(change))
    assert api(alice).get(CHANGES).json()["results"] == [read]
    assert "external_references" not in ChangeSerializer(change).data


@pytest.mark.any_database
def test_the_etag_of_a_change_begins_with_its_version(api, alice):
    change = ChangeFactory()
    change.title = "Another"
    change.save()
    answer = api(alice).get(f"{CHANGES}{change.number}/")
    assert re.fullmatch('"2-[0-9a-f]{16}"', answer.headers["ETag"])


@pytest.mark.any_database
@each_row(
    ("header", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"7", {tag}', 304),
        ("*", 304),
        ('"1"', 200),
        ('"1-0123456789abcdef"', 200),
        ("1", 200),
        ("garbage", 200),
    ],
)
def test_what_the_caller_has_already_is_not_sent_again(api, alice, header, status):
    address = f"{CHANGES}{ChangeFactory().number}/"
    tag = api(alice).get(address).headers["ETag"]
    answer = api(alice).get(address, HTTP_IF_NONE_MATCH=header.format(tag=tag))
    assert answer.status_code == status
    assert answer.headers["ETag"] == tag
    assert bool(answer.content) == (status == 200)


class TestFilters:
    @pytest.fixture(autouse=True)
    def _changes(self, db):
        network, servers = SupportGroupFactory(name="Network"), SupportGroupFactory(name="Servers")
        self.named = {
            "logged": ChangeFactory(title="Disk full", category="Storage", service="", owning_group=network),
            "planned": change_in(Phase.PLAN, ChangeType.STANDARD, title="Mail relay", owning_group=servers),
            "deployed": change_in(Phase.DEPLOY, title="DISK swap", urgency="TotalLossOfService", owning_group=servers),
            "closed": change_in(Phase.CLOSE, ChangeType.EMERGENCY, description="new 100% disk_", owning_group=None),
            "abandoned": change_in(Phase.ABANDON, title="Old", owning_group=network),
        }

    @each_row(
        ("query", "found"),
        [
            ("", "logged planned deployed closed abandoned"),
            ("phase=Plan", "planned"),
            ("phase=Plan&phase=Log", "logged planned"),
            ("phase=Review", ""),
            ("metaphase=Done", "closed abandoned"),
            ("metaphase=Planning&metaphase=Classification", "logged planned"),
            ("change_type=Standard", "planned"),
            ("owning_group=Servers", "planned deployed"),
            ("owning_group=Servers&owning_group=Network", "logged planned deployed abandoned"),
            ("owning_group=Nobody", ""),
            ("owning_group=servers", ""),
            ("priority=Medium", "deployed"),
            ("completion_code=Withdrawn", "abandoned"),
            ("completion_code=Withdrawn&completion_code=Successful", "closed abandoned"),
            ("search=disk", "logged deployed closed"),
            ("search=storage", "logged"),
            ("search=CHG", "logged planned deployed closed abandoned"),
            ("search=100%25", "closed"),
            ("search=isk_", "closed"),
            ("search=", "logged planned deployed closed abandoned"),
            ("search=disk&phase=Deploy&priority=Medium", "deployed"),
            ("search=disk&phase=Plan", ""),
        ],
    )
    def test_filters_narrow_the_list(self, api, audrey, query, found):
        expected = {self.named[name].number for name in found.split()}
        assert set(numbers(api(audrey).get(f"{CHANGES}?{query}"))) == expected

    def test_updated_since_takes_any_offset_and_includes_the_moment_itself(self, api, audrey):
        change = self.named["planned"]
        change.title = "Touched"
        change.save()
        east = timezone.localtime(change.updated_at, timezone.get_fixed_timezone(330)).isoformat()
        for moment in (change.updated_at.isoformat(), east, east.replace("+", "%2B")):
            assert numbers(api(audrey).get(f"{CHANGES}?updated_since={moment}")) == [change.number]
        later = (change.updated_at + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
        assert numbers(api(audrey).get(f"{CHANGES}?updated_since={later}")) == []


@pytest.mark.any_database
@each_row(
    ("query", "attr", "words"),
    [
        ("phase=Planned", "phase", "Give one of: Log, Evaluate, Plan"),
        ("phase=", "phase", "Give one of"),
        ("phase=Plan&phase=plan", "phase", "Give one of"),
        ("metaphase=Plan", "metaphase", "Give one of: Classification"),
        ("change_type=normal", "change_type", "Give one of: Normal, Standard, Emergency"),
        ("priority=1", "priority", "Give one of: Critical"),
        ("completion_code=null", "completion_code", "Give one of: Successful"),
        ("owning_group=", "owning_group", "Give a name."),
        ("owning_group=%00", "owning_group", "NUL"),
        ("search=%00", "search", "Null characters"),
        ("search=" + "x" * 201, "search", "at most 200"),
        ("updated_since=yesterday", "updated_since", "RFC 3339"),
        ("updated_since=2026-02-30T00:00:00Z", "updated_since", "no such date"),
        ("updated_since=2026-02-20T00:00:00", "updated_since", "no offset"),
        ("search=a&search=b", "search", "more than once"),
        ("page=2", "page", "Known: activity_since, change_type, completion_code, cursor"),
        ("state=Plan", "state", "no such parameter"),
        ("format=xml", "format", "no such parameter"),
        ("ordering=size", "ordering", "Give one of: number, created_at"),
        ("ordering=--number", "ordering", "Give one of"),
        ("ordering=", "ordering", "Give one of"),
        ("limit=0", "limit", "from 1 to 200"),
        ("limit=201", "limit", "from 1 to 200"),
        ("limit=ten", "limit", "from 1 to 200"),
        ("limit=%D9%A3", "limit", "from 1 to 200"),
        ("limit=" + "9" * 5000, "limit", "from 1 to 200"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(api, audrey, query, attr, words):
    answer = api(audrey).get(f"{CHANGES}?{query}")
    assert answer.status_code == 400
    assert [error["attr"] for error in answer.json()["errors"]] == [attr]
    assert words in answer.json()["errors"][0]["detail"]


@pytest.mark.any_database
@pytest.mark.parametrize("address", ["", "transitions/", "comments/", "attachments/", "approvals/"])
def test_no_address_ignores_an_unknown_parameter(api, audrey, address):
    number = ChangeFactory().number
    answer = api(audrey).get(f"{CHANGES}{number}/{address}?phase=Log")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["attr"] == "phase"


class TestPages:
    """Pages through each ordering, forwards and back: every row once, in order, ties by number."""

    ORDERINGS = ("number", "created_at", "updated_at", "last_activity_at", "planned_start", "priority", "title")
    RANKS = ("Critical", "High", "Medium", "Low")

    @pytest.fixture(autouse=True)
    def _changes(self, db):
        start = datetime(2026, 5, 1, 8, tzinfo=UTC)
        urgencies = ("TotalLossOfService", "NoDisruption", "SlightDisruption", "SevereDisruption")
        for i in range(13):
            planned = start + timedelta(days=i % 3) if i % 4 else None
            ChangeFactory(
                title=f"Title {i % 5}",
                planned_start=planned,
                planned_end=None,
                urgency=urgencies[i % 4],
                business_impact=("SingleUser", "Enterprise")[i % 2],
            )
        for change in Change.objects.filter(pk__in=list(Change.objects.values_list("pk", flat=True))[::3]):
            change.description = "touched"
            change.save()

    def expected(self, ordering):
        name = ordering.removeprefix("-")
        never = datetime(9999, 1, 1, tzinfo=UTC)
        keys = {
            "number": lambda change: change.pk,
            "planned_start": lambda change: change.planned_start or never,
            "priority": lambda change: self.RANKS.index(change.priority),
        }
        key = keys.get(name, lambda change: getattr(change, name))
        changes = sorted(Change.objects.all(), key=lambda change: (key(change), change.pk))
        if ordering.startswith("-"):
            changes.reverse()
        return [change.number for change in changes]

    @each_row(
        ("ordering", "limit"),
        [(sign + name, 4) for name in ORDERINGS for sign in ("", "-")]
        + [("-priority", limit) for limit in (1, 12, 13, 14, 200)],
    )
    def test_every_change_comes_once_in_order_forwards_and_back(self, api, audrey, ordering, limit):
        client = api(audrey)
        pages = []
        answer = client.get(f"{CHANGES}?ordering={ordering}&limit={limit}")
        while True:
            pages.append(numbers(answer))
            if answer.json()["next"] is None:
                break
            answer = client.get(answer.json()["next"])
        assert [number for page in pages for number in page] == self.expected(ordering)
        assert {len(page) for page in pages[:-1]} <= {limit}
        back = [pages[-1]]
        while answer.json()["previous"] is not None:
            answer = client.get(answer.json()["previous"])
            back.insert(0, numbers(answer))
        assert back == pages

    def test_the_newest_comes_first_unless_said(self, api, audrey):
        assert numbers(api(audrey).get(CHANGES)) == self.expected("-number")

    def test_a_row_that_comes_in_between_shifts_nothing(self, api, audrey):
        client = api(audrey)
        first = client.get(f"{CHANGES}?limit=5")
        newest = ChangeFactory().number
        second = client.get(first.json()["next"])
        assert numbers(first) + numbers(second) == self.expected("-number")[1:11]
        assert newest not in numbers(second)

    def test_pages_keep_the_filters(self, api, audrey):
        answer = api(audrey).get(f"{CHANGES}?search=touched&limit=2")
        assert "search=touched" in answer.json()["next"]
        assert len(numbers(api(audrey).get(answer.json()["next"]))) == 2

    @each_row(
        ("ordering", "said"),
        [
            ("-number", "-number after"),
            ("-number", "-number after x"),
            ("-number", "-number beside 1"),
            ("-number", "-number after 1 1"),
            ("-number", "-number after 1.1"),
            ("-number", "-number after 1e999"),
            ("-number", "-number after 99999999999999999999999"),
            ("-number", "number after 1"),
            ("title", "title after 1.1"),  # the title is encoded
            ("title", "title after AA.1"),  # NUL
            ("title", "title after 7aCA.1"),  # half of a surrogate pair
            ("created_at", "created_at after 2026-01-01T00:00:00Z.1"),
            ("created_at", "created_at after -99999999999999999.1"),  # before year 1
            ("created_at", "created_at after 9999999999999999999.1"),  # after year 9999
        ],
    )
    def test_a_forged_cursor_is_refused(self, api, audrey, ordering, said):
        cursor = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
        self.refused(api(audrey).get(f"{CHANGES}?ordering={ordering}&cursor={cursor}"))

    @each_row("cursor", ["x", "%00", "%E2%82%AC", "W10", "bnVsbA", "gICAgA", "W1tbW1tbW1tb" * 200])
    def test_what_is_no_cursor_is_refused(self, api, audrey, cursor):
        self.refused(api(audrey).get(f"{CHANGES}?cursor={cursor}"))

    def refused(self, answer):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["attr"] == "cursor"

    def test_a_cursor_of_another_ordering_is_refused(self, api, audrey):
        answer = api(audrey).get(f"{CHANGES}?limit=2&ordering=title")
        assert api(audrey).get(answer.json()["next"].replace("ordering=title", "ordering=number")).status_code == 400


@pytest.mark.any_database
@pytest.mark.parametrize("kind", ["changes", "comments", "attachments", "approvals"])
def test_a_longer_list_takes_no_more_queries(api, alice, acme, django_assert_num_queries, add_rows, kind):
    client = api(alice)
    address = add_rows(kind, 2)
    client.get(address)  # notes that the token is used
    with_two = _queries(client, address)
    add_rows(kind, 8)
    with django_assert_num_queries(with_two):
        assert len(client.get(address).json()["results"]) == 10


def _queries(client, address):
    with CaptureQueriesContext(connection) as queries:
        assert len(client.get(address).json()["results"]) == 2
    return len(queries)


@pytest.mark.any_database
def test_staff_see_every_change(api, alice, carol, ingrid, audrey):
    change = ChangeFactory(requested_by=UserFactory(username="bob"))
    for user in (alice, carol, ingrid, audrey):
        assert numbers(api(user).get(CHANGES)) == [change.number]
        assert api(user).get(f"{CHANGES}{change.number}/").status_code == 200
