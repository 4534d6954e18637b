"""The diagram of the workflow shows any transition table correctly."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.choices import ChangeType, Phase
from changes.pages.workflow.diagram import BACK, BOX_WIDTH, MAIN, WIDTH, Diagram
from changes.workflow import PATHS, TRANSITIONS

each_type = pytest.mark.parametrize("change_type", list(ChangeType))


def is_apart(one, other):
    return one.right < other.x or other.right < one.x or one.bottom < other.y or other.bottom < one.y


@st.composite
def tables(draw):
    """The transition table of a type with additional transitions."""
    change_type = draw(st.sampled_from(list(ChangeType)))
    table = {phase: list(targets) for phase, targets in TRANSITIONS[change_type].items()}
    for source, target in draw(st.lists(st.tuples(st.sampled_from(list(Phase)), st.sampled_from(list(Phase))))):
        if source != target and target not in table[source]:
            table[source].append(target)
    return change_type, {phase: tuple(targets) for phase, targets in table.items()}


@each_type
def test_every_transition_is_an_arrow_and_nothing_else_is(change_type):
    steps = [(source, target) for source, targets in TRANSITIONS[change_type].items() for target in targets]
    arrows = [(arrow.source, arrow.target) for arrow in Diagram(change_type).arrows]
    assert sorted(arrows) == sorted(steps)


@given(tables())
def test_a_transition_that_is_added_to_the_table_is_drawn_between_boxes_that_do_not_overlap(case):
    change_type, table = case
    drawing = Diagram(change_type, table)
    assert sorted((arrow.source, arrow.target) for arrow in drawing.arrows) == sorted(
        (source, target) for source, targets in table.items() for target in targets
    )
    for one, other in combinations(drawing.boxes.values(), 2):
        assert is_apart(one, other)
    assert all(box.x >= 0 and box.right <= WIDTH and box.bottom <= drawing.height for box in drawing.boxes.values())
    assert len({arrow.path for arrow in drawing.arrows}) == len(drawing.arrows)


@each_type
def test_the_path_leads_straight_down(change_type):
    drawing = Diagram(change_type)
    boxes = [drawing.boxes[phase] for phase in PATHS[change_type]]
    assert len({box.x for box in boxes}) == 1
    assert [box.y for box in boxes] == sorted(box.y for box in boxes)
    main = [arrow for arrow in drawing.arrows if arrow.kind == MAIN]
    assert len(main) == len(boxes) - 1
    assert all("V" in arrow.path and "Q" not in arrow.path for arrow in main)


@each_type
def test_the_boxes_of_a_metaphase_stand_on_its_ground(change_type):
    drawing = Diagram(change_type)
    for band in drawing.bands:
        own = [box for box in drawing.boxes.values() if box.phase.metaphase == band.metaphase]
        assert own
        assert all(band.y < box.y and box.bottom < band.y + band.height for box in own)


def test_rework_goes_back():
    kinds = {(arrow.source, arrow.target): arrow.kind for arrow in Diagram(ChangeType.NORMAL).arrows}
    assert kinds[Phase.APPROVE_PLAN, Phase.PLAN] == BACK
    assert max(BOX_WIDTH) < WIDTH / 3
