"""The lines of a document that have faults, with the lines around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from changes.validators import made_visible
from integrations.connections.templating.faults import Fault

AROUND = 1


@dataclass(frozen=True)
class Line:
    """`is_after_gap`: lines between this one and the one before are left out."""

    number: int
    text: str
    faults: list[Fault] = field(default_factory=list)
    is_after_gap: bool = False


def faulty_lines(document: str, faults: Sequence[Fault]) -> list[Line]:
    by_line: dict[int, list[Fault]] = {}
    for fault in faults:
        by_line.setdefault(fault.line, []).append(fault)
    shown = {number + step for number in by_line for step in range(-AROUND, AROUND + 1)}
    texts = document.splitlines() or [""]
    numbers = [number for number in range(1, max([len(texts), *by_line]) + 1) if number in shown]
    return [
        Line(
            number,
            made_visible(texts[number - 1]) if number <= len(texts) else "",
            by_line.get(number, []),
            index > 0 and numbers[index - 1] != number - 1,
        )
        for index, number in enumerate(numbers)
    ]
