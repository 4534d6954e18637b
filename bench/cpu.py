"""The processor time of each part during a measurement. It shows which part limits a figure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """Counts processor seconds from its creation on. `parts` has the process ids of each; descendants are included."""

    def __init__(self, parts: Mapping[str, list[int]]) -> None:
        self._parts = parts
        self._before = self._seconds()

    def used(self) -> dict[str, float]:
        """Processor seconds since the creation, by part."""
        return {name: seconds - self._before[name] for name, seconds in self._seconds().items()}

    def _seconds(self) -> dict[str, float]:
        processes = _processes()
        children: dict[int, list[int]] = {}
        for pid, (parent, _) in processes.items():
            children.setdefault(parent, []).append(pid)
        return {
            name: sum(_seconds_of(root, processes, children) for root in roots) for name, roots in self._parts.items()
        }


def _seconds_of(pid: int, processes: dict[int, tuple[int, float]], children: dict[int, list[int]]) -> float:
    own = processes[pid][1] if pid in processes else 0.0
    return own + sum(_seconds_of(child, processes, children) for child in children.get(pid, []))


def descendants(pid: int) -> list[int]:
    """The ids of a process and of all its descendants that are running."""
    parents = {child: parent for child, (parent, _) in _processes().items()}
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _processes() -> dict[int, tuple[int, float]]:
    """Parent and processor seconds of every process, including the seconds of its ended children."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # The format is "pid (name) state parent ...". The name may contain spaces and parentheses.
            fields = stat.read_text().rpartition(")")[2].split()
            found[int(stat.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)
    return found


@dataclass(frozen=True)
class Cost:
    """Processor seconds by part, for `count` pieces of work in `wall` seconds. As text: its profile."""

    used: Mapping[str, float]
    wall: float
    count: float

    @property
    def milliseconds(self) -> float:
        """Processor time of all parts for one piece of work."""
        return sum(self.used.values()) / self.count * 1000

    def __str__(self) -> str:
        return profile(self.used, self.wall, self.count)


def profile(used: Mapping[str, float], wall: float, count: float) -> str:
    """The load of each part as text: busy cores, and ms of processor time for each of `count` pieces of work."""
    parts = [
        f"{name} {seconds / wall:.2f} ({seconds / count * 1000:.2f} ms)"
        for name, seconds in used.items()
        if seconds / wall >= 0.005
    ]
    total = sum(used.values())
    return f"cores (and ms each): {', '.join(parts)}, together {total / wall:.2f} ({total / count * 1000:.2f} ms)"
