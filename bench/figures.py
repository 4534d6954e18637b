"""Figures of several rounds: median, spread, ratio, and whether a bar is met."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

_COLUMNS = ("figure", "", "ours", "compared with", "ratio", "bar", "met")


@dataclass
class Figure:
    """One row of the table. Each round adds a value of ours and one to compare it with.

    `at_least`: the ratio must be at least the bar; otherwise at most the bar.
    """

    name: str
    unit: str
    bar: float
    at_least: bool = True
    ours: list[float] = field(default_factory=list)
    compared: list[float] = field(default_factory=list)

    def add(self, ours: float, compared: float) -> None:
        self.ours.append(ours)
        self.compared.append(compared)

    @property
    def ratios(self) -> list[float]:
        return [ours / compared for ours, compared in zip(self.ours, self.compared, strict=True)]

    @property
    def is_met(self) -> bool:
        holds: Callable[[float, float], bool] = operator.ge if self.at_least else operator.le
        return holds(median(self.ratios), self.bar)


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table of all figures: medians, and in brackets the smallest and the largest value of the rounds."""
    rows = [_COLUMNS, *(_row(figure) for figure in figures if figure.ours)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    bar = f"{'>=' if figure.at_least else '<='} {figure.bar:g}"
    met = "yes" if figure.is_met else "no"
    return (
        figure.name,
        figure.unit,
        spread(figure.ours),
        spread(figure.compared),
        spread(figure.ratios, digits=2),
        bar,
        met,
    )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and in brackets the smallest and the largest."""
    digits = 0 if min(values) >= 100 else digits
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value such that `share` of the values are not larger."""
    ordered = sorted(values)
    return ordered[max(0, round(share * len(ordered) + 0.5) - 1)]
