"""The path of a change on its page, compared with the contract's tables for each type and phase."""

import re

import pytest

from changes.choices import ChangeType, Phase
from changes.pages.change.path import stages
from changes.workflow import TRANSITIONS
from tests.factories import change_in
from tests.pages import text, web
from tests.rows import each_row

# A copy of the tables in section 2 of the contract, independent of the code.
METAPHASES = {
    "Classification": ["Log", "Evaluate"],
    "Planning": ["Plan", "ApprovePlan"],
    "Deployment": ["Deploy", "Backout"],
    "Validation": ["Validate"],
    "Done": ["Review", "Close", "Abandon"],
}
PATHS = {
    "Normal": "Log, Evaluate, Plan, ApprovePlan, Deploy, Validate, Review, Close",
    "Standard": "Log, Plan, Deploy, Validate, Close",
    "Emergency": "Log, ApprovePlan, Deploy, Validate, Review, Close",
}
BACKOUT = ["Deploy to Backout", "Validate to Backout", "Backout to Review"]
SIDES = {
    "Normal": ["ApprovePlan to Plan", *BACKOUT],
    "Standard": [*BACKOUT, "Review to Close"],
    "Emergency": ["ApprovePlan to Log", *BACKOUT],
}
ABANDON_FROM = {
    "Normal": "Log, Evaluate, Plan, ApprovePlan",
    "Standard": "Log, Plan",
    "Emergency": "Log, ApprovePlan",
}
REWORK = {"Normal": "Rework: Approve plan back to Plan", "Emergency": "Rework: Approve plan back to Log"}


def path_of(kind):
    return PATHS[kind].split(", ")


def targets(kind, phase):
    """The phases that the contract allows next for a change of this type in this phase."""
    path = path_of(kind)
    found = [path[path.index(phase) + 1]] if phase in path[:-1] else []
    found += [side.split(" to ")[1] for side in SIDES[kind] if side.startswith(f"{phase} to ")]
    return found + ["Abandon"] * (phase in ABANDON_FROM[kind].split(", "))


PLACES = [(kind, phase) for kind in PATHS for phase in [*path_of(kind), "Backout", "Abandon"]]


def page_of(user, change):
    return web(user).get(f"/changes/{change.number}/")


def card(response):
    """The HTML of the path and its transitions."""
    return response.content.decode().partition('id="path"')[2].partition("</section>")[0]


def offered(response):
    """The phases to which the page offers a transition, possible or not."""
    content = card(response)
    labels = re.findall(r'id="move-(\w+)"', content)
    labels += re.findall(r"Before it can move to (\w+):", content)
    for words in re.findall(r'class="move-name">.*?</svg>([^<]+)</p>', content, re.DOTALL):
        labels.append(re.search(r"(?:Move to|Send back to) (\w+)", words)[1])
    return labels


@each_row(("kind", "phase"), [place for place in PLACES if place[1] not in ("Backout", "Abandon")])
def test_the_path_is_the_contracts_grouped_by_metaphase(kind, phase):
    order = path_of(kind)
    drawn = [(stage.metaphase.value, [step.phase.value for step in stage.steps]) for stage in stages(kind, phase)]
    assert [name for _, names in drawn for name in names] == order
    for metaphase, names in drawn:
        assert set(names) <= set(METAPHASES[metaphase])
    states = [step.state for stage in stages(kind, phase) for step in stage.steps]
    here = order.index(phase)
    assert states == ["done"] * here + ["now", "next", *["later"] * len(order)][: len(order) - here]


@pytest.mark.parametrize("phase", ["Close", "Abandon"])
def test_a_change_at_its_end_shows_no_side_paths_and_no_next_step(carol, phase):
    response = page_of(carol, change_in(Phase(phase)))
    assert 'class="side' not in card(response)
    assert "is final: the fields are read-only" in text(response)


ALL = [(kind, phase) for kind in ChangeType for phase in Phase if TRANSITIONS[kind][phase] or phase.is_final]
NOT_THERE = {(ChangeType.STANDARD, Phase.EVALUATE), (ChangeType.STANDARD, Phase.APPROVE_PLAN)}


@each_row(("kind", "phase"), [pair for pair in ALL if pair not in NOT_THERE])
def test_each_phase_of_each_type_is_shown_with_the_transitions_of_the_contract_and_no_other(carol, kind, phase):
    response = page_of(carol, change_in(phase, kind))
    content = response.content.decode()
    assert content.count('aria-current="step"') == 1
    present = content.partition('aria-current="step"')[2].partition("</li>")[0]
    assert f'<span class="step-name">{phase.label}</span>' in present
    if (kind, phase) in PLACES:
        assert sorted(offered(response)) == sorted(targets(kind, phase))
        if not phase.is_final:
            assert_side_paths_say_whether_they_can_be_taken_now(card(response), kind, phase)


def assert_side_paths_say_whether_they_can_be_taken_now(content, kind, phase):
    sides = {
        re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", words)).strip(): state
        for state, words in re.findall(r'<li class="side side-(\w+)">(.*?)</li>', content, re.DOTALL)
    }
    abandon = next(state for words, state in sides.items() if words.startswith("Abandon"))
    assert abandon == ("now" if phase in ABANDON_FROM[kind].split(", ") else "past")
    if kind in REWORK:
        rework = next(state for words, state in sides.items() if words.startswith(REWORK[kind]))
        before = path_of(kind)[: path_of(kind).index("ApprovePlan")]
        assert rework == ("now" if phase == "ApprovePlan" else "later" if phase in before else "past")
    if phase == "Backout":
        assert not any(words.startswith("Backout") for words in sides)
        assert '<span class="step-name">Backout</span>' in content
    else:
        backout = next(state for words, state in sides.items() if words.startswith("Backout, from Deploy or Validate"))
        assert backout == ("now" if phase in ("Deploy", "Validate") else "past" if phase == "Review" else "later")


def steps(kind, current, visited=()):
    return [
        (step.phase.value, step.state, step.is_side) for stage in stages(kind, current, visited) for step in stage.steps
    ]


def test_the_path_says_what_is_done_now_and_next():
    assert steps("Standard", "Deploy") == [
        ("Log", "done", False),
        ("Plan", "done", False),
        ("Deploy", "now", False),
        ("Validate", "next", False),
        ("Close", "later", False),
    ]


def test_a_backout_is_a_side_path_that_stays_visible_afterwards():
    visited = {"Log", "Plan", "Deploy", "Backout", "Review"}
    assert steps("Standard", "Review", visited) == [
        ("Log", "done", False),
        ("Plan", "done", False),
        ("Deploy", "done", False),
        ("Backout", "done", True),
        ("Review", "now", True),
        ("Close", "next", False),
    ]
    assert [name for name, _, _ in steps("Normal", "Backout", {"Log", "Deploy", "Validate", "Backout"})][-4:] == [
        "Validate",
        "Backout",
        "Review",
        "Close",
    ]


def test_an_abandoned_change_shows_how_far_it_came():
    assert steps("Normal", "Abandon", {"Log", "Evaluate", "Abandon"}) == [
        ("Log", "done", False),
        ("Evaluate", "done", False),
        ("Abandon", "now", True),
    ]


def test_the_steps_are_grouped_by_metaphase():
    names = [(stage.metaphase.value, len(stage.steps)) for stage in stages("Normal", "Log")]
    assert names == [("Classification", 2), ("Planning", 2), ("Deployment", 1), ("Validation", 1), ("Done", 2)]
