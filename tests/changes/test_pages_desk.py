"""The desk: changes of my groups, plans that wait for my decision, and the number of queries."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import ChangeType, Decision, Phase
from changes.models import Approval, Change
from changes.pages.desk import desk
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.pages import text, web


@pytest.fixture
def network(alice, carol):
    group = SupportGroupFactory(name="Network")
    group.members.add(alice, carol)
    return group


def section(response, title: str) -> str:
    """The section of the page with this heading."""
    content = response.content.decode()
    return content.partition(f'aria-labelledby="{title}"')[2].partition("</section>")[0]


def numbers(part: str) -> list[str]:
    return re.findall(r'href="/changes/(CHG\d+)/', part)


@pytest.mark.any_database
def test_the_desk_is_the_page_after_signing_in(alice):
    client = web()
    response = client.post("/accounts/login/", {"username": "alice", "password": "correct horse battery staple"})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert "Desk" in text(client.get("/"))


def test_my_groups_changes_stand_by_metaphase_the_most_urgent_and_then_the_oldest_first(alice, network):
    old, young = (ChangeFactory(title=title) for title in ("Old", "Young"))
    urgent = ChangeFactory(title="Urgent", urgency="TotalLossOfService", business_impact="Enterprise")
    evaluated, deployed = change_in(Phase.EVALUATE), change_in(Phase.DEPLOY, ChangeType.EMERGENCY)
    ChangeFactory(owning_group=SupportGroupFactory(name="Servers"))
    ChangeFactory(owning_group=None)
    change_in(Phase.CLOSE), change_in(Phase.ABANDON)
    response = web(alice).get("/")
    expected = [urgent, old, young, evaluated]
    assert numbers(section(response, "metaphase-classification")) == [change.number for change in expected]
    assert numbers(section(response, "metaphase-deployment")) == [deployed.number]
    assert "Nothing here" in section(response, "metaphase-validation")
    assert not numbers(section(response, "metaphase-done"))


def test_a_metaphase_shows_the_first_few_counts_all_and_leads_to_them(alice, network):
    changes = [ChangeFactory() for _ in range(desk.SHOWN + 2)]
    response = web(alice).get("/")
    part = section(response, "metaphase-classification")
    assert numbers(part) == [change.number for change in changes[: desk.SHOWN]]
    assert f'<span class="tally">{len(changes)}</span>' in part
    href = re.search(r'href="(/changes/\?[^"]+)"', part)[1].replace("&amp;", "&")
    found = web(alice).get(href)
    assert all(change.number in text(found) for change in changes)


def test_more_than_is_counted_is_said_to_be_more(alice, network, monkeypatch):
    monkeypatch.setattr(desk, "COUNTED", 2)
    for _ in range(3):
        ChangeFactory()
    assert "2 + or more" in text(web(alice).get("/"))


def test_changes_of_several_groups_stand_together(alice, network):
    servers = SupportGroupFactory(name="Servers")
    servers.members.add(alice)
    first, second = ChangeFactory(owning_group=servers), ChangeFactory(owning_group=network)
    response = web(alice).get("/")
    assert "Network, Servers" in text(response)
    assert numbers(section(response, "metaphase-classification")) == [first.number, second.number]


@pytest.mark.any_database
def test_who_belongs_to_no_group_is_told_whom_to_ask(alice):
    said = text(web(alice).get("/"))
    assert "You belong to no group yet." in said
    assert "Ask an administrator" in said


@pytest.mark.any_database
def test_groups_without_open_changes_are_told_what_will_appear(alice, network):
    change_in(Phase.ABANDON)
    assert "Nothing waits for your groups." in text(web(alice).get("/"))


# --- Approvals ---


def test_a_manager_sees_the_plans_that_wait_for_the_own_decision(carol, network):
    theirs = change_in(Phase.APPROVE_PLAN, owning_group=SupportGroupFactory(name="Servers"))
    change_in(Phase.APPROVE_PLAN, requested_by=carol)
    decided = change_in(Phase.APPROVE_PLAN)
    Approval(change=decided, author=carol, decision=Decision.DENIED, comment="No").save()
    change_in(Phase.PLAN)
    assert numbers(section(web(carol).get("/"), "approvals-title")) == [theirs.number]


def test_a_new_round_asks_again(carol):
    change = change_in(Phase.APPROVE_PLAN)
    Approval(change=change, author=carol, decision=Decision.DENIED, comment="No").save()
    for phase in (Phase.PLAN, Phase.APPROVE_PLAN):
        change.move_to(phase)
        change.save()
    assert numbers(section(web(carol).get("/"), "approvals-title")) == [change.number]


def test_a_plan_that_somebody_has_decided_on_waits_for_nobody_else(carol):
    for decision, comment in ((Decision.APPROVED, ""), (Decision.DENIED, "In the freeze.")):
        plan = change_in(Phase.APPROVE_PLAN)
        Approval(
            change=plan, author=UserFactory(username=f"dave-{decision}"), decision=decision, comment=comment
        ).save()
    assert "No plan waits for your decision." in text(web(carol).get("/"))


@pytest.mark.any_database
def test_a_manager_without_plans_to_decide_on_is_told_so(carol):
    assert "No plan waits for your decision." in text(web(carol).get("/"))


@pytest.mark.any_database
def test_who_may_not_approve_is_not_asked_to(alice):
    change_in(Phase.APPROVE_PLAN, requested_by=UserFactory(username="dave"))
    assert "Waiting for my approval" not in text(web(alice).get("/"))


# --- The chart ---


def test_the_chart_of_phases_says_its_numbers_in_a_table(alice, network):
    ChangeFactory(), ChangeFactory()
    ChangeFactory(owning_group=None)
    change_in(Phase.CLOSE)
    part = section(web(alice).get("/"), "phases-title")
    found = re.findall(r'<th scope="row"><a href="([^"]*)">([\w ]+)</a></th>(<td>.*?</td><td>\d+</td>)', part)
    rows = {name: re.sub(r"</?a[^>]*>", "", cells) for _address, name, cells in found}
    assert {name: address for address, name, _cells in found}["Log"] == "/changes/?phase=Log"
    assert rows["Log"] == "<td>2</td><td>3</td>"
    assert rows["Review"] == "<td>0</td><td>0</td>"
    assert len(rows) == len(Phase) - 2
    widths = dict(re.findall(r'<text x="0"[^>]*>(\w+)</text>\s*<rect class="bar-own"[^>]*width="([\d.]+)"', part))
    assert float(widths["Log"]) > 0
    assert float(widths["Plan"]) == 0


@pytest.mark.any_database
def test_without_open_changes_there_is_no_chart(alice):
    change_in(Phase.ABANDON)
    part = section(web(alice).get("/"), "phases-title")
    assert "No change is open." in part
    assert "<svg" not in part


# --- Queries ---


def queries(user) -> int:
    client = web(user)
    client.get("/")  # fills caches, such as that of past hours
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get("/").status_code == 200
    return len(captured)


@pytest.mark.any_database
def test_the_number_of_queries_does_not_depend_on_the_rows(carol, network, acme):
    few = queries(carol)
    for name in ("Servers", "Data", "Mail"):
        SupportGroupFactory(name=name).members.add(carol)
    group = acme.external_groups.get().group
    for phase in (Phase.LOG, Phase.PLAN, Phase.APPROVE_PLAN, Phase.DEPLOY, Phase.VALIDATE):
        for _ in range(4):
            change_in(phase)
            change_in(phase, owning_group=group)
    many = queries(carol)
    assert Change.objects.count() == 40
    assert few <= many <= 15
