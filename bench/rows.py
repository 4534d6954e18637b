"""The rows by the name that `--only` takes, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from .hanging import Hanging
from .incoming import Incoming
from .latency import Latency
from .outgoing import Drain, Workers
from .session import Row, Session

ROWS: dict[str, Callable[[Session], Row]] = {
    "create": Incoming,
    "drain": Drain,
    "latency": Latency,
    "hanging": Hanging,
    "workers": Workers,
}
