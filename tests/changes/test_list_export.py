"""The CSV export: exactly the changes that the filters match, and no cell that a spreadsheet would run as a formula."""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import Phase
from changes.models import Comment
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.pages import web
from tests.stored import store


def exported(user, query="") -> list[dict[str, str]]:
    response = web(user).get(f"/changes/export.csv{query}")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


def test_every_field_has_its_name_and_its_value_as_in_the_api(audrey, acme):
    group = acme.external_groups.get().group
    change = change_in(Phase.PLAN, title='One, "two", three', owning_group=group)
    (row,) = exported(audrey)
    assert list(row)[:7] == ["number", "title", "change_type", "phase", "metaphase", "priority", "owning_group"]
    assert row["number"] == change.number
    assert row["title"] == 'One, "two", three'
    assert (row["phase"], row["metaphase"]) == ("Plan", "Planning")
    assert (row["owning_group"], row["requested_by"]) == ("ACME Networks", "alice")
    assert (row["partners"], row["exchange_states"]) == ("ACME", "held")
    assert row["planned_start"] == change.planned_start.isoformat().replace("+00:00", "Z")
    assert (row["completion_code"], row["actual_end"]) == ("", "")


@pytest.mark.parametrize("language", ["en", "de"])
def test_names_and_values_are_the_same_in_every_language(alice, acme, language):
    ChangeFactory(owning_group=acme.external_groups.get().group)
    response = web(alice).get("/changes/export.csv", headers={"Accept-Language": language})
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    assert content.startswith('"number","title","change_type",')
    assert '"ACME","held",""\r\n' in content


def test_it_holds_what_the_filters_match_in_the_order_of_the_list(alice):
    changes = [ChangeFactory(title=title, description="-") for title in ("Switch A", "Router", "Switch B")]
    assert [row["number"] for row in exported(alice)] == [change.number for change in reversed(changes)]
    query = "?q=switch&sort=number&after=1.1&page=3"
    assert [row["title"] for row in exported(alice, query)] == ["Switch A", "Switch B"]
    assert exported(alice, "?q=nothing+like+it") == []


def test_it_opens_in_excel_with_its_umlauts(alice):
    ChangeFactory(title="Größe")
    content = b"".join(web(alice).get("/changes/export.csv").streaming_content)
    assert content.startswith(b'\xef\xbb\xbf"number"') and content.count(b"\xef\xbb\xbf") == 1
    assert "Größe" in content.decode()


def test_what_is_private_is_not_in_it(alice):
    change = ChangeFactory()
    Comment(change=change, author=alice, body="Between us", visibility="private").save()
    response = web(alice).get("/changes/export.csv")
    assert b"Between us" not in b"".join(response.streaming_content)
    assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "\uff1d1+1"])
def test_no_text_is_a_formula(alice, text):
    ChangeFactory(title=text, service=text, owning_group=SupportGroupFactory(name=text))
    (row,) = exported(alice)
    assert row["title"] == row["service"] == row["owning_group"] == f"'{text}"


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("x;=cmd|' /C calc'!A0;y", "x;'=cmd|' /C calc'!A0;y"),
        ("x; @SUM(A1)", "x;' @SUM(A1)"),
        ("x\t+1", "x\t'+1"),
        ("\tx", "'\tx"),
        ("x\r\n-1", "x\r\n'-1"),
        ("Router - core; 3 + 4", "Router - core; 3 + 4"),
    ],
)
def test_no_part_of_a_text_is_a_formula_for_a_program_that_splits_elsewhere(alice, title, written):
    store(ChangeFactory(), title=title)
    (row,) = exported(alice)
    assert row["title"] == written


def test_every_field_is_in_quotes(alice):
    ChangeFactory(title="Router", requested_by=None)
    lines = b"".join(web(alice).get("/changes/export.csv").streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith('"') and line.endswith('"')
        assert line.count('","') == len(next(csv.reader([lines[0]]))) - 1


def test_a_wrong_filter_exports_nothing_and_leads_to_the_page_that_says_so(alice):
    ChangeFactory()
    response = web(alice).get("/changes/export.csv?phase=Nowhere&page=2")
    assert response.status_code == 302
    assert response["Location"] == "/changes/?phase=Nowhere"


def test_it_is_read_some_changes_at_a_time(alice, monkeypatch):
    monkeypatch.setattr("changes.pages.csv_file.AT_ONCE", 2)
    numbers = [ChangeFactory().number for _ in range(5)]
    response = web(alice).get("/changes/export.csv?sort=number")
    parts = []
    for part in response.streaming_content:
        parts.append(part.decode())
        if len(parts) == 2:
            numbers.append(ChangeFactory().number)  # another user changes data during the export
    assert [part.count("\r\n") for part in parts] == [1, 2, 2, 2]
    rows = list(csv.DictReader(io.StringIO("".join(parts).removeprefix("\ufeff"))))
    assert [row["number"] for row in rows] == numbers


def test_no_more_queries_for_many_changes_than_for_few(alice, acme):
    client, group, counts = web(alice), acme.external_groups.get().group, []
    for count in (1, 20):
        for _ in range(count):
            ChangeFactory(owning_group=group)
        with CaptureQueriesContext(connection) as asked:
            list(client.get("/changes/export.csv").streaming_content)
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_it_is_for_staff_alone(acme, db):
    ChangeFactory()
    assert web().get("/changes/export.csv").status_code == 302
    assert web(acme.authorized_user).get("/changes/export.csv").status_code == 403
