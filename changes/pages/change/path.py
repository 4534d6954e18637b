"""The path of one change through the phases of its type, for the drawing on its page. Pure: no database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from changes.choices import ChangeType, Metaphase, Phase
from changes.workflow import PATHS, SIDE_TRANSITIONS, TRANSITIONS

DONE, NOW, NEXT, LATER, PAST = "done", "now", "next", "later", "past"


@dataclass(frozen=True)
class Step:
    """A phase in the drawing. `state` is done, now, next or later; `is_side`: not on the type's own path."""

    phase: Phase
    state: str
    is_side: bool = False


@dataclass(frozen=True)
class Side:
    """A side transition that the change has not made: to `target` from any of `sources`.

    `state` is now if it is possible from the current phase, later if it may become possible, and past if it cannot.
    """

    target: Phase
    sources: list[Phase]
    state: str
    is_rework: bool = False


@dataclass(frozen=True)
class Stage:
    """Consecutive steps of one metaphase, and the side transitions that lead into it."""

    metaphase: Metaphase
    steps: list[Step]
    sides: list[Side] = field(default_factory=list)


def phases(change_type: str, current: str, visited: Collection[str]) -> list[Phase]:
    """The phases to draw, in order: the type's path, or the side path that the change has taken."""
    path = list(PATHS[ChangeType(change_type)])
    if current == Phase.ABANDON:
        return [*(phase for phase in path if phase in visited), Phase.ABANDON]
    if current == Phase.BACKOUT or Phase.BACKOUT in visited:
        deployed = path[: path.index(Phase.DEPLOY) + 1]
        if Phase.VALIDATE in visited:
            deployed.append(Phase.VALIDATE)
        return [*deployed, Phase.BACKOUT, Phase.REVIEW, Phase.CLOSE]
    return path


def stages(change_type: str, current: str, visited: Collection[str] = ()) -> list[Stage]:
    """The past, current and coming phases, grouped by metaphase.

    `visited` are the phases that the change has been in.
    """
    order = phases(change_type, current, visited)
    here = order.index(Phase(current))
    own = PATHS[ChangeType(change_type)]
    steps = [Step(phase, _state(position - here), phase not in own) for position, phase in enumerate(order)]
    found = [Stage(metaphase, list(group)) for metaphase, group in groupby(steps, lambda step: step.phase.metaphase)]
    for side in sides(change_type, current, order):
        place = next(stage for stage in reversed(found) if stage.metaphase == side.target.metaphase)
        place.sides.append(side)
    return found


def sides(change_type: str, current: str, order: list[Phase]) -> list[Side]:
    """The side transitions that the change has not made; none in a final phase. `order`: the phases as drawn."""
    kind, here = ChangeType(change_type), Phase(current)
    if here.is_final:
        return []
    result = []
    for target in (*dict.fromkeys(target for _, target in SIDE_TRANSITIONS[kind]), Phase.ABANDON):
        sources = [phase for phase in Phase if target in TRANSITIONS[kind][phase] and not _is_path(kind, phase, target)]
        is_rework = target in PATHS[kind] and target not in (Phase.REVIEW, Phase.CLOSE)
        if (target in order or target == Phase.REVIEW) and not is_rework:
            continue  # drawn as a step, or only possible after another side transition
        places = [order.index(phase) for phase in sources if phase in order]
        later = any(place > order.index(here) for place in places)
        state = NOW if here in sources else LATER if later else PAST
        result.append(Side(target, sources, state, is_rework))
    return result


def _is_path(kind: ChangeType, source: Phase, target: Phase) -> bool:
    return (source, target) in pairwise(PATHS[kind])


def _state(distance: int) -> str:
    if distance < 0:
        return DONE
    return {0: NOW, 1: NEXT}.get(distance, LATER)
