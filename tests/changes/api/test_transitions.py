"""The list of the possible transitions, and making a transition."""

import pytest

from changes import workflow
from changes.choices import ChangeType, Phase
from changes.models import Approval, Change
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.reading import as_read


def address(change):
    return f"/api/v1/changes/{change.number}/transitions/"


@pytest.mark.parametrize(
    ("phase", "change_type", "targets"),
    [
        (Phase.LOG, ChangeType.NORMAL, ["Evaluate", "Abandon"]),
        (Phase.APPROVE_PLAN, ChangeType.EMERGENCY, ["Deploy", "Log", "Abandon"]),
        (Phase.DEPLOY, ChangeType.STANDARD, ["Validate", "Backout"]),
        (Phase.CLOSE, ChangeType.STANDARD, []),
    ],
)
def test_the_transitions_are_those_of_the_workflow(api, audrey, phase, change_type, targets):
    change = change_in(phase, change_type)
    answer = api(audrey).get(address(change))
    assert answer.status_code == 200
    assert {key: answer.json()[key] for key in ("next", "previous")} == {"next": None, "previous": None}
    results = answer.json()["results"]
    assert [row["phase"] for row in results] == targets == list(workflow.targets(change_type, phase))
    assert [row["metaphase"] for row in results] == [Phase(target).metaphase for target in targets]


def test_each_transition_says_what_it_lacks(api, audrey):
    change = Change.objects.create(title="Bare", description="So")
    evaluate, abandon = api(audrey).get(address(change)).json()["results"]
    assert [row["field"] for row in evaluate["unmet_conditions"]] == [
        "requested_by",
        "reason",
        "justification",
        "category",
        "service",
    ]
    assert abandon["unmet_conditions"] == [
        {"field": "completion_code", "message": "Completion code must be Withdrawn or Rejected."}
    ]
    assert api(audrey).get(address(ChangeFactory())).json()["results"][0]["unmet_conditions"] == []


def test_a_transition_answers_with_the_change(api, alice):
    change = ChangeFactory()
    answer = api(alice).post(address(change), {"phase": "Evaluate"})
    assert answer.status_code == 200
    change.refresh_from_db()
    assert change.phase == "Evaluate"
    assert answer.json() == as_read(change)
    assert answer.headers["ETag"].startswith('"2-')
    assert change.history.latest().history_user == alice


@pytest.mark.parametrize("target", ["Log", "Plan", "Deploy", "Close"])
def test_without_a_transition_the_answer_says_which_there_are(api, alice, target):
    change = ChangeFactory()
    answer = api(alice).post(address(change), {"phase": target})
    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert (error["code"], error["attr"]) == ("no_transition", "phase")
    assert "Possible: Evaluate, Abandon." in error["detail"]
    assert Change.objects.values("phase", "version").get() == {"phase": "Log", "version": 1}


def test_every_unmet_condition_is_one_error_with_its_field(api, carol):
    change = Change.objects.create(title="Bare")
    answer = api(carol).post(address(change), {"phase": "Evaluate"})
    assert answer.status_code == 422
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Unprocessable Entity", 422)
    assert [(error["attr"], error["code"]) for error in problem["errors"]] == [
        (field, "unmet_condition")
        for field in ("description", "requested_by", "reason", "justification", "category", "service")
    ]
    assert problem["errors"][0]["detail"] == "Description must be set."
    assert Change.objects.values("phase", "version").get() == {"phase": "Log", "version": 1}


def test_two_unmet_conditions_of_one_field_are_two_errors(api, alice):
    change = change_in(Phase.LOG, ChangeType.EMERGENCY, implementation_plan="", planned_start=None)
    change.move_to("ApprovePlan")
    change.save()
    Approval(change=change, author=UserFactory(username="carol"), decision="Denied", comment="No").save()
    answer = api(alice).post(address(change), {"phase": "Deploy"})
    assert answer.status_code == 422
    assert [error["attr"] for error in answer.json()["errors"]] == ["approvals", "approvals"]
    assert Change.objects.get().phase == "ApprovePlan"


@pytest.mark.parametrize(
    ("header", "status"), [(None, 200), ('"1"', 200), ("*", 200), ('"2"', 412), ("1", 412), ('W/"1"', 412)]
)
def test_a_transition_may_name_the_version_that_was_read(api, alice, header, status):
    change = ChangeFactory()
    headers = {} if header is None else {"HTTP_IF_MATCH": header}
    assert api(alice).post(address(change), {"phase": "Evaluate"}, **headers).status_code == status
    assert Change.objects.get().phase == ("Evaluate" if status == 200 else "Log")


def test_a_whole_life_from_log_to_close(api, alice, carol):
    number = api(alice).post("/api/v1/changes/", {"title": "Replace core switch"}).json()["number"]
    change = f"/api/v1/changes/{number}/"
    fields = {
        **dict.fromkeys(("description", "reason", "justification", "category", "service"), "Filled"),
        **dict.fromkeys(("implementation_plan", "backout_plan"), "Planned"),
        "risk": "Low",
        "planned_start": "2026-11-24T09:00:00Z",
        "planned_end": "2026-11-24T10:00:00Z",
    }
    assert api(alice).patch(change, fields).status_code == 200

    def move(phase):
        return api(alice).post(f"{change}transitions/", {"phase": phase})

    assert move("Evaluate").status_code == 200
    assert [error["attr"] for error in move("Plan").json()["errors"]] == ["owning_group"]
    SupportGroupFactory(name="Network")
    api(alice).patch(change, {"owning_group": "Network"})
    assert [move(phase).status_code for phase in ("Plan", "ApprovePlan", "Deploy")] == [200, 200, 422]
    assert api(carol).post(f"{change}approvals/", {"decision": "Approved"}).status_code == 201
    assert [move(phase).status_code for phase in ("Deploy", "Validate", "Review", "Close")] == [200, 200, 200, 422]
    api(alice).patch(change, {"completion_code": "Successful"})
    closed = move("Close").json()
    assert (closed["phase"], closed["metaphase"]) == ("Close", "Done")
    assert closed["actual_start"] and closed["actual_end"]
    assert api(alice).get(f"{change}transitions/").json()["results"] == []
