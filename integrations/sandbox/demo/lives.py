"""What happens to each demo change, and when. Pure: the same catalogue and time give the same lives."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from changes.choices import ChangeType, CompletionCode, Phase
from changes.workflow import ABANDON_FROM, PATHS

CATALOGUE = Path(__file__).with_name("catalogue.yaml")

# How many changes of each type are in each phase now.
PHASES: Mapping[ChangeType, Mapping[Phase, int]] = {
    ChangeType.NORMAL: {
        Phase.LOG: 12,
        Phase.EVALUATE: 12,
        Phase.PLAN: 14,
        Phase.APPROVE_PLAN: 12,
        Phase.DEPLOY: 14,
        Phase.BACKOUT: 4,
        Phase.VALIDATE: 10,
        Phase.REVIEW: 10,
        Phase.CLOSE: 34,
        Phase.ABANDON: 10,
    },
    ChangeType.STANDARD: {
        Phase.LOG: 5,
        Phase.PLAN: 8,
        Phase.DEPLOY: 8,
        Phase.BACKOUT: 3,
        Phase.VALIDATE: 5,
        Phase.REVIEW: 3,
        Phase.CLOSE: 13,
        Phase.ABANDON: 3,
    },
    ChangeType.EMERGENCY: {
        Phase.LOG: 4,
        Phase.APPROVE_PLAN: 4,
        Phase.DEPLOY: 5,
        Phase.BACKOUT: 3,
        Phase.VALIDATE: 4,
        Phase.REVIEW: 4,
        Phase.CLOSE: 9,
        Phase.ABANDON: 3,
    },
}
# What becomes of a change that was given to a partner, and for how many changes: it stays there, is taken back, goes on
# to another partner, or is withdrawn.
KEEPS, RETURNS, PASSES_ON, STOPS = "keeps", "returns", "passes on", "stops"
HOLDINGS = {KEEPS: 30, RETURNS: 3, PASSES_ON: 2, STOPS: 4}
_HELD_IN = (Phase.PLAN, Phase.DEPLOY, Phase.VALIDATE, Phase.BACKOUT)


@dataclass(frozen=True)
class Subject:
    """What a change is about: its fields, as the catalogue gives them."""

    change_type: ChangeType
    title: str
    category: str
    service: str
    risk: str
    description: str
    reason: str
    justification: str
    plan: str
    backout: str
    group: str
    partner: str


@dataclass(frozen=True)
class Step:
    """A transition and its time."""

    phase: Phase
    at: datetime


@dataclass(frozen=True)
class Life:
    """One change from its creation to now. `given_at`: when it is given to a partner, if `holding` is not None."""

    subject: Subject
    created_at: datetime
    steps: tuple[Step, ...]
    completion_code: CompletionCode | None
    deploys_at: datetime
    holding: str | None
    given_at: datetime


def lives(now: datetime) -> list[Life]:
    """The lives of all demo changes, oldest first."""
    chance = random.Random(7)
    found = []
    subjects = _subjects()
    for kind, phases in PHASES.items():
        ends = [phase for phase, number in phases.items() for _ in range(number)]
        chance.shuffle(ends)
        mine = [subject for subject in subjects if subject.change_type == kind]
        found += [_life(subject, end, now, chance) for subject, end in zip(mine, ends, strict=True)]
    found.sort(key=lambda life: life.created_at)
    return _with_holdings(found, chance)


def _subjects() -> list[Subject]:
    catalogue = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    return [
        _subject(section, entry, place)
        for section in catalogue
        for entry in section["subjects"]
        for place in entry["places"]
    ]


def _subject(section: Mapping[str, Any], entry: Mapping[str, Any], place: str) -> Subject:
    return Subject(
        change_type=ChangeType(section.get("type", "Normal")),
        title=entry["title"].format(place),
        description=entry["description"].format(place),
        category=section["category"],
        group=section["group"],
        partner=section["partner"],
        **{name: entry[name] for name in ("service", "risk", "reason", "justification", "plan", "backout")},
    )


def _life(subject: Subject, end: Phase, now: datetime, chance: random.Random) -> Life:
    route = _route(subject.change_type, end, chance)
    is_over = end in (Phase.CLOSE, Phase.ABANDON)
    if subject.change_type == ChangeType.EMERGENCY:
        age, pause = timedelta(days=chance.uniform(1, 60) if is_over else chance.uniform(0.3, 1.5)), timedelta(hours=2)
    else:
        age, pause = timedelta(days=chance.uniform(25, 75) if is_over else chance.uniform(3, 30)), timedelta(days=3)
    pause = min(pause * chance.uniform(0.6, 1.2), age / (len(route) + 1))
    created_at = now - age
    steps = tuple(Step(phase, created_at + pause * number) for number, phase in enumerate(route, 1))
    deployed = [step.at for step in steps if step.phase == Phase.DEPLOY]
    planned = now + timedelta(days=chance.randint(2, 25))
    return Life(
        subject=subject,
        created_at=created_at,
        steps=steps,
        completion_code=_completion_code(route, chance),
        deploys_at=(deployed[0] if deployed else planned).replace(minute=0, second=0, microsecond=0),
        holding=None,
        given_at=now - timedelta(minutes=chance.randint(60, 1500)),
    )


def _route(kind: ChangeType, end: Phase, chance: random.Random) -> list[Phase]:
    """The phases after Log up to `end`, along allowed transitions."""
    path = [*PATHS[kind]]
    if end == Phase.ABANDON:
        last = chance.choice(ABANDON_FROM[kind])
        return [*path[1 : path.index(last) + 1], Phase.ABANDON]
    backed_out = [*path[1 : path.index(Phase.DEPLOY) + 1], Phase.BACKOUT]
    if end == Phase.BACKOUT:
        return backed_out
    if end not in path:
        return [*backed_out, end]
    if end == Phase.CLOSE and chance.random() < 0.12:
        return [*backed_out, Phase.REVIEW, Phase.CLOSE]
    route = path[1 : path.index(end) + 1]
    if kind == ChangeType.NORMAL and Phase.DEPLOY in route and chance.random() < 0.2:
        # The plan was denied once.
        place = route.index(Phase.APPROVE_PLAN) + 1
        route[place:place] = [Phase.PLAN, Phase.APPROVE_PLAN]
    return route


def _completion_code(route: list[Phase], chance: random.Random) -> CompletionCode | None:
    if Phase.ABANDON in route:
        return chance.choice((CompletionCode.WITHDRAWN, CompletionCode.WITHDRAWN, CompletionCode.REJECTED))
    if Phase.BACKOUT in route:
        return CompletionCode.BACKED_OUT if Phase.REVIEW in route else None
    if Phase.CLOSE not in route:
        return None
    good, with_problems, failed = (
        CompletionCode.SUCCESSFUL,
        CompletionCode.SUCCESSFUL_WITH_PROBLEMS,
        CompletionCode.FAILED,
    )
    return chance.choices((good, with_problems, failed), (80, 15, 5))[0]


def _with_holdings(found: list[Life], chance: random.Random) -> list[Life]:
    """Gives some open changes to partners, and marks some withdrawn ones as having been with a partner."""
    open_ones = [life for life in found if life.steps and life.steps[-1].phase in _HELD_IN]
    stopped = [life for life in found if life.completion_code == CompletionCode.WITHDRAWN]
    holdings: dict[str, str] = {}
    for kind, number in HOLDINGS.items():
        candidates = [life for life in (stopped if kind == STOPS else open_ones) if life.subject.title not in holdings]
        for life in chance.sample(candidates, min(number, len(candidates))):
            holdings[life.subject.title] = kind
    return [Life(**{**life.__dict__, "holding": holdings.get(life.subject.title)}) for life in found]
