"""The positions of the bars for planned windows in the drawing of a day or a week. Pure: no database, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from .days import DAY, Period, Window

WIDTH, HEAD, LANE, BAR = 1200, 26, 26, 20
LEAST = 4
# The approximate width of a letter, the longest label in letters, and the space around a label.
LETTER, LABEL_LETTERS, PADDING = 6.4, 40, 6
MOST_LANES = 60
# The sign before the label of a change that overlaps another one.
CLASH = "\u26a0"


@dataclass(frozen=True)
class Bar:
    """The bar of one window, with a label inside or beside it.

    `anchor` is the SVG `text-anchor`. `left` and `right` include the label. The unit is that of the SVG.
    """

    window: Window
    lane: int
    x: float
    width: float
    label: str
    label_x: float
    anchor: str
    is_inside: bool
    is_clash: bool
    left: float
    right: float

    @property
    def y(self) -> int:
        return HEAD + self.lane * LANE + (LANE - BAR) // 2

    @property
    def label_y(self) -> int:
        return self.y + BAR - 6


@dataclass(frozen=True)
class Tick:
    x: float
    moment: datetime
    label_x: float


@dataclass(frozen=True)
class Drawing:
    bars: list[Bar]
    ticks: list[Tick]
    lanes: int
    now_x: float | None

    WIDTH, HEAD, BAR = WIDTH, HEAD, BAR

    @property
    def height(self) -> int:
        return HEAD + max(self.lanes, 2) * LANE + 4


def draw(windows: Iterable[Window], shown: Period, clashing: Iterable[int], now: datetime) -> Drawing:
    """The drawing of these windows. No bar or label covers another.

    Windows that do not fit into `MOST_LANES` are left out; the page lists all of them as text.
    """
    scale = WIDTH / (shown.end - shown.start).total_seconds()

    def place(moment: datetime) -> float:
        return round((min(max(moment, shown.start), shown.end) - shown.start).total_seconds() * scale, 1)

    clashes, ends, bars = set(clashing), list[float](), list[Bar]()
    for window in sorted(windows, key=lambda item: (item.start, item.pk)):
        bar = _bar(window, place(window.start), place(window.until), window.pk in clashes)
        lane = next((number for number, end in enumerate(ends) if end <= bar.left), len(ends))
        if lane == len(ends):
            if lane == MOST_LANES:
                continue
            ends.append(0)
        ends[lane] = bar.right + PADDING
        bars.append(replace(bar, lane=lane))
    is_now = shown.start <= now < shown.end
    return Drawing(bars, _ticks(shown, place), len(ends), place(now) if is_now else None)


def _bar(window: Window, start: float, end: float, is_clash: bool) -> Bar:
    x = min(start, WIDTH - LEAST)
    width = round(max(end - x, LEAST), 1)
    label = f"{window.number} {window.title}"
    if len(label) > LABEL_LETTERS:
        label = f"{label[: LABEL_LETTERS - 1].rstrip()}…"
    if is_clash:
        label = f"{CLASH} {label}"
    needed = len(label) * LETTER + 2 * PADDING
    if needed <= width:
        label_x, anchor, left, right = x + PADDING, "start", x, x + width
    elif x + width + needed <= WIDTH:
        label_x, anchor, left, right = x + width + PADDING, "start", x, x + width + needed
    else:  # there is room on the left: a bar without room on either side is wide enough for the label
        label_x, anchor, left, right = x - PADDING, "end", x - needed, x + width
    return Bar(window, 0, x, width, label, round(label_x, 1), anchor, needed <= width, is_clash, left, right)


def _ticks(shown: Period, place: Callable[[datetime], float]) -> list[Tick]:
    if shown.view == DAY:
        hours = round((shown.end - shown.start) / timedelta(hours=1))
        moments: Sequence[datetime] = [shown.start + timedelta(hours=n) for n in range(hours)]
    else:
        moments = shown.boundaries[:-1]
    return [Tick(place(moment), moment, place(moment) + 4) for moment in moments]
