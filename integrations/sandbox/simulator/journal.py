"""The file that stores the events of the simulated desks: one JSON event per line, append-only."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Journal:
    """`events()` reads the stored events. `append()` adds one event; it is written when the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def events(self) -> list[dict[str, Any]]:
        """All completely written events. A line that a crash cut off is left out."""
        if not self.path.exists():
            return []
        events = []
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                events.append(json.loads(line))
            except ValueError:
                logger.warning("%s: line %d was not completely written and is left out", self.path, number)
        return events

    def append(self, event: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self._open()
        # ASCII, since a message may contain half a surrogate pair, which UTF-8 cannot encode.
        self._file.write(json.dumps(event, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> Any:
        # Received messages are confidential: only the file's owner may read them.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        file = os.fdopen(descriptor, "a", encoding="ascii")
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            file.write("\n")
        return file
