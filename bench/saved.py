"""A saved run, and what got worse or better since: by the ratios, since the machine is another or as noisy as ever."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .figures import Figure, spread

# A ratio that differs by less is the same, even if the spreads do not meet: few rounds have a small spread by chance.
LEAST = 0.05


@dataclass(frozen=True)
class Comparison:
    """One figure then and now, as ratios. `verdict`: worse, better, or same."""

    name: str
    then: Sequence[float]
    now: Sequence[float]
    is_more_better: bool

    @property
    def verdict(self) -> str:
        before, after = median(self.then), median(self.now)
        is_apart = max(self.now) < min(self.then) or min(self.now) > max(self.then)
        if not is_apart or abs(after - before) < LEAST * before:
            return "same"
        return "better" if (after > before) == self.is_more_better else "worse"


def save(file: Path, figures: Sequence[Figure], machine: str) -> None:
    kept = {figure.name: figure.ratios for figure in figures if figure.ours}
    file.write_text(json.dumps({"machine": machine, "ratios": kept}, indent=2) + "\n")


def load(file: Path) -> Mapping[str, Sequence[float]]:
    """The ratios by figure. Raises ValueError if it is no saved run."""
    try:
        return {
            str(name): [float(each) for each in values]
            for name, values in json.loads(file.read_text())["ratios"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is no saved run") from error


def compared(figures: Sequence[Figure], saved: Mapping[str, Sequence[float]]) -> list[Comparison]:
    """The figures that both runs have."""
    return [
        Comparison(figure.name, saved[figure.name], figure.ratios, figure.at_least)
        for figure in figures
        if figure.ours and saved.get(figure.name)
    ]


def report(comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return "The saved run has none of these figures."
    lines = [
        f"{each.verdict:6}  {each.name}: {spread(each.then, digits=2)} then, {spread(each.now, digits=2)} now"
        for each in sorted(comparisons, key=lambda each: ("worse", "better", "same").index(each.verdict))
    ]
    return "\n".join(["Ratios compared with the saved run:", *lines])
