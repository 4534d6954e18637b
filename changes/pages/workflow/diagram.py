"""The diagram of a change type's workflow, laid out from the transition table. Pure: no database, no clock.

The phases of the type's path are in the middle column, grouped by metaphase. Other phases are beside it: final ones on
the left, the others on the right. A transition to the next phase of the path is a straight arrow; other arrows leave a
box at its side. The code names no phase, so a transition that is added to the table is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from changes.choices import ChangeType, Metaphase, Phase
from changes.workflow import PATHS, TRANSITIONS

LEFT, MIDDLE, RIGHT = 0, 1, 2
WIDTH = 396
BOX_X, BOX_WIDTH = (12, 134, 278), (88, 116, 92)
BOX_HEIGHT, ROW, HEAD, GAP = 34, 54, 24, 6
RADIUS = 9
# The distance from the boxes of an arrow that passes around them, the step for each further arrow, and the maximum.
BULGE, BULGE_STEP, BULGE_MOST = 14, 5, 22

KINDS = MAIN, SIDE, BACK, END = "main", "side", "back", "end"


@dataclass(frozen=True)
class Box:
    phase: Phase
    column: int
    x: int
    y: int
    is_start: bool
    is_final: bool

    @property
    def width(self) -> int:
        return BOX_WIDTH[self.column]

    @property
    def height(self) -> int:
        return BOX_HEIGHT

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def center_x(self) -> int:
        return self.x + self.width // 2

    @property
    def center_y(self) -> int:
        return self.y + self.height // 2

    @property
    def text_y(self) -> int:
        return self.center_y + 4

    @property
    def tone(self) -> str:
        return self.phase.metaphase.lower()


@dataclass(frozen=True)
class Band:
    """The background of one metaphase."""

    metaphase: Metaphase
    y: int
    height: int

    @property
    def tone(self) -> str:
        return self.metaphase.lower()

    @property
    def label_y(self) -> int:
        return self.y + 17


@dataclass(frozen=True)
class Arrow:
    """The arrow of a transition. `path` is the data of an SVG path.

    `kind` is main (to the next phase of the path), back (to an earlier one of it), end (to a final phase beside it) or
    side.
    """

    source: Phase
    target: Phase
    kind: str
    path: str


@dataclass(frozen=True)
class _Ends:
    """The boxes that an arrow connects."""

    source: Box
    target: Box

    @property
    def is_level(self) -> bool:
        return self.source.y == self.target.y

    @property
    def height(self) -> int:
        return abs(self.target.y - self.source.y)


class Diagram:
    """The diagram of one type. It draws the product's transition table unless `table` is given."""

    WIDTH, BAND_WIDTH, KINDS = WIDTH, WIDTH - 4, KINDS

    def __init__(self, change_type: ChangeType, table: dict[Phase, tuple[Phase, ...]] | None = None) -> None:
        self.change_type = change_type
        self.table = TRANSITIONS[change_type] if table is None else table
        self.path = PATHS[change_type]

    @cached_property
    def transitions(self) -> list[tuple[Phase, Phase]]:
        """All transitions in the order of their source phases; from each phase, the next of the path first."""
        order = [*self.path, *(phase for phase in Phase if phase not in self.path)]
        return [(source, target) for source in order for target in self.table.get(source, ())]

    def kind(self, source: Phase, target: Phase) -> str:
        if (source, target) in pairwise(self.path):
            return MAIN
        if source in self.path and target in self.path:
            return BACK if self.path.index(target) < self.path.index(source) else SIDE
        return END if self._column(target) == LEFT else SIDE

    # --- Boxes ---

    @cached_property
    def _beside(self) -> list[Phase]:
        involved = {phase for transition in self.transitions for phase in transition}
        return [phase for phase in Phase if phase in involved and phase not in self.path]

    def _column(self, phase: Phase) -> int:
        if phase in self.path:
            return MIDDLE
        return RIGHT if self.table.get(phase) else LEFT

    @cached_property
    def _layout(self) -> tuple[list[Band], dict[Phase, Box]]:
        bands, boxes, top = [], {}, GAP
        shown = {*self.path, *self._beside}
        for metaphase in Metaphase:
            own = [phase for phase in (*self.path, *self._beside) if phase in shown and phase.metaphase == metaphase]
            if not own:
                continue
            columns: tuple[list[Phase], ...] = ([], [], [])
            for phase in own:
                columns[self._column(phase)].append(phase)
            rows = max(len(column) for column in columns)
            # Phases on the left are final, so they are at the bottom. Those on the right are entered early.
            for number, column in enumerate(columns):
                first = rows - len(column) if number == LEFT else 0
                for place, phase in enumerate(column):
                    boxes[phase] = self._box(phase, number, top + HEAD + (first + place) * ROW)
            height = HEAD + rows * ROW - (ROW - BOX_HEIGHT) + 12
            bands.append(Band(metaphase, top, height))
            top += height + GAP
        return bands, boxes

    def _box(self, phase: Phase, column: int, y: int) -> Box:
        return Box(phase, column, BOX_X[column], y, phase == self.path[0], not self.table.get(phase))

    @property
    def bands(self) -> list[Band]:
        return self._layout[0]

    @property
    def boxes(self) -> dict[Phase, Box]:
        return self._layout[1]

    @property
    def height(self) -> int:
        return self.bands[-1].y + self.bands[-1].height + GAP

    # --- Arrows ---

    @cached_property
    def arrows(self) -> list[Arrow]:
        ends = {step: _Ends(self.boxes[step[0]], self.boxes[step[1]]) for step in self.transitions}
        return [Arrow(*step, self.kind(*step), self._path(step, ends)) for step in self.transitions]

    def _path(self, step: tuple[Phase, Phase], ends: dict[tuple[Phase, Phase], _Ends]) -> str:
        own = ends[step]
        source, target = own.source, own.target
        if self.kind(*step) == MAIN:
            return f"M{source.center_x} {source.bottom}V{target.y}"
        if self._is_straight(own):
            return f"M{self._port(source, step, ends)} {source.bottom}V{target.y}"
        if source.column == target.column:
            return self._round(own, ends)
        if own.is_level and MIDDLE in (source.column, target.column):
            is_rightward = source.x < target.x
            start, end = (source.right, target.x) if is_rightward else (source.x, target.right)
            return f"M{start} {source.center_y}H{end}"
        if source.column == MIDDLE:
            return _corner(source, target, self._port(target, step, ends), is_out=True)
        if target.column == MIDDLE:
            return _corner(source, target, self._port(source, step, ends), is_out=False)
        return _sweep(source, target)

    def _is_straight(self, own: _Ends) -> bool:
        """Whether the arrow leads straight down to the next box in a column beside the path."""
        source, target = own.source, own.target
        column = sorted((box for box in self.boxes.values() if box.column == source.column), key=lambda box: box.y)
        return source.column != MIDDLE and (source, target) in pairwise(column)

    def _port(self, box: Box, step: tuple[Phase, Phase], ends: dict[tuple[Phase, Phase], _Ends]) -> int:
        """The x at which this arrow meets the top or bottom of a box beside the path.

        Arrows from near boxes are closer to the path than those from far ones, so that they do not cross.
        """
        own = ends[step]
        is_above = _other(own, box).y < box.y
        rivals = [
            pair
            for pair, between in ends.items()
            if box in (between.source, between.target)
            and (_other(between, box).column == MIDDLE or self._is_straight(between))
            and not between.is_level
            and (_other(between, box).y < box.y) == is_above
        ]
        rivals.sort(key=lambda pair: (ends[pair].height, pair != step))
        place, gap = rivals.index(step) + 1, box.width / (len(rivals) + 1)
        return round(box.x + place * gap) if box.column == RIGHT else round(box.right - place * gap)

    def _round(self, own: _Ends, ends: dict[tuple[Phase, Phase], _Ends]) -> str:
        """The path from the right side of a box to the right side of another one in the same column."""
        same = [
            pair
            for pair in ends.values()
            if pair.source.column == pair.target.column == own.source.column
            and self.kind(pair.source.phase, pair.target.phase) != MAIN
        ]
        same.sort(key=lambda pair: pair.height)
        bulge = min(BULGE + BULGE_STEP * same.index(own), BULGE_MOST)
        source, target = own.source, own.target
        start, end = source.center_y, target.center_y
        shift = -6 if end < start else 6
        x = source.right + bulge
        return _rounded(
            [(source.right, start + shift), (x, start + shift), (x, end - shift), (target.right, end - shift)]
        )


def _other(ends: _Ends, box: Box) -> Box:
    return ends.target if ends.source == box else ends.source


def _corner(source: Box, target: Box, port: int, *, is_out: bool) -> str:
    """The path with one corner from the middle column to a box beside it, or back if not `is_out`."""
    beside, middle = (target, source) if is_out else (source, target)
    side = middle.right if beside.column == RIGHT else middle.x
    edge = beside.y if middle.y < beside.y else beside.bottom
    points = [(side, middle.center_y), (port, middle.center_y), (port, edge)]
    return _rounded(points if is_out else points[::-1])


def _sweep(source: Box, target: Box) -> str:
    """The curve from a box on one side of the path to a box on the other side, below the path's own arrows."""
    depth = max(source.bottom, target.bottom) + ROW // 2
    return (
        f"M{source.center_x} {source.bottom}C{source.center_x} {depth} {target.center_x} {depth} "
        f"{target.center_x} {target.bottom}"
    )


def _rounded(points: list[tuple[int, int]]) -> str:
    """The path through the points with round corners."""
    commands = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        arrive, leave = _towards(corner, before), _towards(corner, after)
        commands.append(f"L{arrive[0]} {arrive[1]}Q{corner[0]} {corner[1]} {leave[0]} {leave[1]}")
    return "".join([*commands, f"L{points[-1][0]} {points[-1][1]}"])


def _towards(corner: tuple[int, int], point: tuple[int, int]) -> tuple[int, int]:
    """The point where the rounding of a corner ends, on the line from the corner to `point`."""
    (x, y), (to_x, to_y) = corner, point
    length = abs(to_x - x) + abs(to_y - y)
    reach = min(RADIUS, length // 2)
    return x + _sign(to_x - x) * reach, y + _sign(to_y - y) * reach


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
