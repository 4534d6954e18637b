"""The bars of the sparkline of a day, in units of the SVG. Pure: no database, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from integrations.standing.last_day import Day

STEP, GAP, HEIGHT, LEAST = 6, 1.5, 28, 2.0


@dataclass(frozen=True)
class Bar:
    """An hour: its deliveries from the bottom up, and its failures on top of them."""

    start: datetime
    x: float
    delivered: int
    failed: int
    delivered_height: float
    failed_height: float

    @property
    def delivered_y(self) -> float:
        return round(HEIGHT - self.delivered_height, 1)

    @property
    def failed_y(self) -> float:
        return round(HEIGHT - self.delivered_height - self.failed_height, 1)


@dataclass(frozen=True)
class Sparkline:
    bars: list[Bar]
    width: int
    height: int = HEIGHT
    bar_width: float = STEP - GAP


def sparkline(day: Day) -> Sparkline:
    most = max((hour.delivered + hour.failed for hour in day.hours), default=0)
    # Room for two bars of the least height, so that nothing is cut.
    scale = (HEIGHT - 2 * LEAST) / most if most else 0
    bars = [
        Bar(
            hour.start,
            place * STEP,
            hour.delivered,
            hour.failed,
            _height(hour.delivered, scale),
            _height(hour.failed, scale),
        )
        for place, hour in enumerate(day.hours)
    ]
    return Sparkline(bars, len(bars) * STEP)


def _height(count: int, scale: float) -> float:
    """Anything above 0 can be seen."""
    return round(max(count * scale, LEAST), 1) if count else 0.0
