"""The benchmarks by their names for `--only`, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from .collecting import Collect
from .hand_made import HandMade
from .handover import AddComment, Handover
from .hanging import Hanging
from .hosts import Hosts
from .incoming import Incoming
from .large import Size
from .latency import Latency
from .mapped import Mapped, MappedLog
from .memory import Memory
from .open_pages import OpenPages
from .outgoing import Drain, Workers
from .pages import Pages
from .session import Row, Session
from .smax import Bulk
from .soak import Soak

RowMaker = Callable[[Session], Row]

ROWS: dict[str, RowMaker] = {
    "create": Incoming,
    "handover": Handover,
    "comment": AddComment,
    "bulk": Bulk,
    "drain": Drain,
    "mapped": Mapped,
    "collect": Collect,
    "latency": Latency,
    "open-pages": OpenPages,
    "hanging": Hanging,
    "workers": Workers,
    "hosts": Hosts,
    "statements": HandMade,
}
LARGE_ROWS: dict[str, RowMaker] = {"size": Size, "memory": Memory, "pages": Pages, "mapped-log": MappedLog}
# Only when they are named: they take long.
LONG_ROWS: dict[str, RowMaker] = {"soak": Soak}
