"""How a partner treats a message, other than simply taking it.

`mode` is one of:

| mode | what happens | taken |
|---|---|---|
| normal | answers 200 with its record | yes |
| answer | answers `status`, with `retry_after` and `body` where given | if `status` is 2xx |
| redirect | answers 302 to `location` | no |
| down | drops the connection; nothing is kept | no |
| refuse | refuses connections, and drops those it has | no |
| expired | has a certificate that has expired | no |
| hang | waits `seconds` before it answers | yes |
| stall | answers the first half, waits `seconds`, and answers the rest | yes |
| drip | answers byte by byte, over `seconds` | yes |
| hang_up | takes the message, and closes the connection without an answer | yes |
| reset | takes the message, and resets the connection | yes |
| not_json | answers 200 with a page of HTML | yes |
| broken_json | answers 200 with the first half of its JSON | yes |
| huge | answers 200 with `size` bytes of JSON | yes |
| short | announces 100 bytes more than it sends, and closes the connection | yes |
| long | announces half of what it sends, and keeps the connection for `seconds` | yes |
| interim | sends 100, 102 and 103 over and over for `seconds`, at least once, and answers | yes |
| switch | answers 101, as if to change the protocol, and says nothing for `seconds` | yes |

`times` is the number of messages that are treated so; without it, the behaviour lasts until it is set again. `take`
overrides the column "taken"; a message that is not taken is still listed as received. `refuse` and `expired` need a
partner with a port of its own (see `config`) and last until the behaviour is set again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any


class Mode(StrEnum):
    NORMAL = "normal"
    ANSWER = "answer"
    REDIRECT = "redirect"
    DOWN = "down"
    REFUSE = "refuse"
    EXPIRED = "expired"
    HANG = "hang"
    STALL = "stall"
    DRIP = "drip"
    HANG_UP = "hang_up"
    RESET = "reset"
    NOT_JSON = "not_json"
    BROKEN_JSON = "broken_json"
    HUGE = "huge"
    SHORT = "short"
    LONG = "long"
    INTERIM = "interim"
    SWITCH = "switch"


# Modes that act on the connection, before a message names its partner. So the partner needs a port of its own.
AT_THE_DOOR = frozenset({Mode.REFUSE, Mode.EXPIRED})
# Modes in which no message arrives.
DEAF = AT_THE_DOOR | {Mode.DOWN}


_TYPES: dict[str, Any] = {
    "times": int,
    "take": bool,
    "status": int,
    "retry_after": (str, int, float),
    "seconds": (int, float),
    "size": int,
    "location": str,
}
_RANGES = {"times": (1, 1_000_000), "status": (200, 599), "seconds": (0, 3600), "size": (1, 100_000_000_000)}


@dataclass(frozen=True)
class Behaviour:
    """How the next messages are treated. The module's docstring explains the fields."""

    mode: Mode = Mode.NORMAL
    times: int | None = None
    take: bool | None = None
    status: int = 503
    retry_after: str | float | None = None
    body: Any = None
    seconds: float = 30
    size: int = 10_000_000
    location: str = "/elsewhere"

    @property
    def takes(self) -> bool:
        """Whether a message that is treated so is taken into the partner's records."""
        if self.take is not None:
            return self.take
        if self.mode == Mode.ANSWER:
            return self.status < 300
        return self.mode not in DEAF | {Mode.REDIRECT}

    def after_one(self) -> Behaviour:
        """The behaviour for the messages after this one."""
        if self.times is None:
            return self
        return replace(self, times=self.times - 1) if self.times > 1 else Behaviour()

    def as_json(self) -> dict[str, Any]:
        """The mode, and the fields that differ from their defaults."""
        default = asdict(Behaviour())
        return {"mode": str(self.mode)} | {
            name: value for name, value in asdict(self).items() if name != "mode" and value != default[name]
        }

    def __str__(self) -> str:
        what = {
            Mode.NORMAL: "takes and answers",
            Mode.ANSWER: f"answers {self.status}",
            Mode.REDIRECT: "redirects",
            Mode.DOWN: "is down",
            Mode.REFUSE: "refuses connections",
            Mode.EXPIRED: "has an expired certificate",
            Mode.HANG: f"waits {self.seconds:g} s",
            Mode.STALL: f"waits {self.seconds:g} s in the middle of its answer",
            Mode.DRIP: f"drips its answer over {self.seconds:g} s",
            Mode.HANG_UP: "hangs up",
            Mode.RESET: "resets the connection",
            Mode.NOT_JSON: "answers with HTML",
            Mode.BROKEN_JSON: "answers with half of its JSON",
            Mode.HUGE: f"answers with {self.size} bytes",
            Mode.SHORT: "answers less than it announces",
            Mode.LONG: "answers more than it announces",
            Mode.INTERIM: f"sends interim answers for {self.seconds:g} s",
            Mode.SWITCH: "answers 101",
        }[self.mode]
        pause = f" and asks for a pause of {self.retry_after}" if self.retry_after is not None else ""
        return what + pause + (f", {self.times} more time(s)" if self.times else "")


def parse(data: object) -> Behaviour:
    """Reads a behaviour from JSON values. Raises ValueError, with a text for people."""
    known = [field.name for field in fields(Behaviour)]
    if not isinstance(data, Mapping):
        raise ValueError("Write the behaviour as an object.")
    if unknown := [str(key) for key in data if key not in known]:
        raise ValueError(f"Unknown: {', '.join(unknown)}. Known: {', '.join(known)}.")
    given: dict[str, Any] = {key: value for key, value in data.items() if value is not None}
    if given.get("mode", "normal") not in [*Mode]:
        raise ValueError(f"mode: write one of {', '.join(Mode)}.")
    for name, kind in _TYPES.items():
        value = given.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise ValueError(f"{name}: {value!r} has the wrong type.")
        if value is not None and name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
            raise ValueError(f"{name}: write a number from {_RANGES[name][0]} to {_RANGES[name][1]}.")
    for name in ("retry_after", "location"):
        if not str(given.get(name, "")).isprintable():
            raise ValueError(f"{name}: goes into a header, so it must be one line.")
    mode = Mode(given.get("mode", "normal"))
    if mode in AT_THE_DOOR and {"times", "take"} & given.keys():
        raise ValueError(f"{mode}: no message arrives, so times and take mean nothing.")
    return Behaviour(**{**given, "mode": mode})
