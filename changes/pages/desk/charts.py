"""The positions of the bars in the desk's charts, in units of the SVG. Pure: no database, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from changes.queries.subqueries import Count

WIDTH = 360
# Changes by phase: names on the left, bars from BAR_LEFT on, the number after each bar.
BAR_LEFT, BAR_WIDTH, ROW, BAR_HEIGHT = 112, 192, 22, 14
# Operations by hour: outgoing bars above the axis, incoming ones below.
HOUR_LEFT, HOUR_WIDTH, AXIS, HOUR_HEIGHT, HOUR_GAP = 36, 13.5, 64, 50, 2.5
LABEL_EVERY = 6


@dataclass(frozen=True)
class PhaseBar:
    """The bar of a phase: first the changes of the person's groups, then the others. `tone` picks the colour.

    `value`: the phase as the list's filter has it.
    """

    value: str
    name: str
    tone: str
    own: int
    total: Count
    y: int
    own_width: float
    rest_x: float
    rest_width: float

    @property
    def text_x(self) -> float:
        return round(self.rest_x + self.rest_width + 6, 1)

    @property
    def text_y(self) -> int:
        return self.y + BAR_HEIGHT - 3


def phase_bars(counts: Sequence[tuple[str, str, str, int, Count]]) -> list[PhaseBar]:
    """The bars for `counts`: value, name, tone, own and total number of each. The longest bar has the full width."""
    most = max((total.number for *_, total in counts), default=0)
    scale = BAR_WIDTH / most if most else 0
    bars = []
    for place, (value, name, tone, own, total) in enumerate(counts):
        width = _visible(total.number, scale)
        own_width = min(width, _visible(own, scale))
        bars.append(
            PhaseBar(
                value=value,
                name=name,
                tone=tone,
                own=own,
                total=total,
                y=place * ROW + 4,
                own_width=own_width,
                rest_x=round(BAR_LEFT + own_width, 1),
                rest_width=round(width - own_width, 1),
            )
        )
    return bars


@dataclass(frozen=True)
class HourBar:
    """The operations of the hour that begins at `start`."""

    start: datetime
    out: Count
    into: Count
    x: float
    out_height: float
    into_height: float
    is_labelled: bool

    @property
    def zone_if_twice(self) -> str:
        """Such as CEST where the clocks are put back, so that two hours have the same name; else ""."""
        local = timezone.localtime(self.start)
        comes_twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
        return (local.tzname() or "") if comes_twice else ""

    @property
    def last_minute(self) -> datetime:
        return self.start + timedelta(minutes=59)

    @property
    def out_y(self) -> float:
        return round(AXIS - self.out_height, 1)

    @property
    def width(self) -> float:
        return HOUR_WIDTH - HOUR_GAP

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True)
class HourChart:
    """The bars by hour. `most` is the number for a bar of full height; 0 without operations."""

    bars: list[HourBar]
    most: int


def hour_chart(counts: Sequence[tuple[datetime, Count, Count]]) -> HourChart:
    """`counts`: start, out and in of each hour, the oldest first. Both directions have the same scale."""
    most = max((max(out.number, into.number) for _, out, into in counts), default=0)
    scale = HOUR_HEIGHT / most if most else 0
    bars = [
        HourBar(
            start=start,
            out=out,
            into=into,
            x=HOUR_LEFT + place * HOUR_WIDTH,
            out_height=_visible(out.number, scale),
            into_height=_visible(into.number, scale),
            is_labelled=(len(counts) - 1 - place) % LABEL_EVERY == 0,
        )
        for place, (start, out, into) in enumerate(counts)
    ]
    return HourChart(bars, most)


def _visible(number: int, scale: float) -> float:
    """The length of a bar. Any number above 0 gets a visible bar."""
    return round(max(number * scale, 2), 1) if number else 0
