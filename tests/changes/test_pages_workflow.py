"""The page of the workflow shows the transition table, the conditions and the roles."""

import re

import pytest

from changes import workflow
from changes.choices import ChangeType, Phase
from tests.pages import text, web


def part(response, change_type: str) -> str:
    content = response.content.decode()
    return content.partition(f'id="{change_type.lower()}"')[2].partition("</section>")[0]


def steps(change_type: str) -> list[tuple[str, str]]:
    table = workflow.TRANSITIONS[ChangeType(change_type)]
    return sorted((source.value, target.value) for source, targets in table.items() for target in targets)


@pytest.mark.parametrize("change_type", ChangeType.values)
def test_every_transition_is_drawn_and_said(alice, change_type):
    shown = part(web(alice).get("/workflow/"), change_type)
    assert sorted(re.findall(r'data-from="(\w+)" data-to="(\w+)"', shown)) == steps(change_type)
    rows = re.findall(r'<tr role="row">(.*?)</tr>', shown.partition("<tbody")[2], re.DOTALL)
    said = [tuple(re.findall(r'class="badge phase-\w+"[^>]*>([\w ]+)<', row)[:2]) for row in rows]
    assert sorted(said) == sorted((Phase(source).label, Phase(target).label) for source, target in steps(change_type))


def test_conditions_and_roles_stand_beside_it(alice):
    said = text(web(alice).get("/workflow/?type=Normal"))
    for condition in workflow.conditions("Normal", Phase.APPROVE_PLAN, Phase.DEPLOY):
        assert str(condition.message) in said
    assert "Service desk agent or Change manager" in said
    assert re.search(
        r"Log →\s?to Abandon Ends there Completion code must be Withdrawn or Rejected. Change manager", said
    )


def test_a_transition_that_is_added_to_the_table_appears(alice, monkeypatch):
    table = workflow.TRANSITIONS[ChangeType.STANDARD]
    monkeypatch.setitem(table, Phase.PLAN, (*table[Phase.PLAN], Phase.LOG))
    shown = part(web(alice).get("/workflow/"), "Standard")
    assert 'data-from="Plan" data-to="Log"' in shown


def test_one_type_can_be_linked_to(alice):
    response = web(alice).get("/workflow/?type=Emergency")
    assert part(response, "Emergency")
    assert not part(response, "Normal")
    assert re.search(r'href="/workflow/\?type=Emergency"\s+aria-current="page"', response.content.decode())


@pytest.mark.parametrize("query", ["", "?type=", "?type=Unknown"])
def test_without_a_type_that_exists_all_are_shown(alice, query):
    response = web(alice).get(f"/workflow/{query}")
    assert all(part(response, change_type) for change_type in ChangeType.values)


def test_a_partner_does_not_see_it(acme):
    assert web(acme.authorized_user).get("/workflow/").status_code == 403
