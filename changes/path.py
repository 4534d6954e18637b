"""The way of one change through the phases of its type, as the page draws it. Pure: no database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby

from .choices import ChangeType, Metaphase, Phase
from .workflow import PATHS

DONE, NOW, NEXT, LATER = "done", "now", "next", "later"


@dataclass(frozen=True)
class Step:
    """`state` is done, now, next or later; `is_side` marks a phase that is not on the type's own path."""

    phase: Phase
    state: str
    is_side: bool = False


@dataclass(frozen=True)
class Stage:
    """The steps of one metaphase that follow one another."""

    metaphase: Metaphase
    steps: list[Step]


def phases(change_type: str, current: str, visited: Collection[str]) -> list[Phase]:
    """The phases in order: those of the type's path, or of the side path that the change is on."""
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
    """What is done, where the change is now, and what comes, grouped by metaphase.

    `visited`: the phases that the change has been in.
    """
    order = phases(change_type, current, visited)
    here = order.index(Phase(current))
    own = PATHS[ChangeType(change_type)]
    steps = [Step(phase, _state(position - here), phase not in own) for position, phase in enumerate(order)]
    return [Stage(metaphase, list(group)) for metaphase, group in groupby(steps, lambda step: step.phase.metaphase)]


def _state(distance: int) -> str:
    if distance < 0:
        return DONE
    return {0: NOW, 1: NEXT}.get(distance, LATER)
