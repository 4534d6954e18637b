"""When the last good backup was taken, and retention last ran, on this machine.

It is kept in files of `VAR_DIR`: a row of the database would come back with a restored one, and tell of a backup that
this machine does not have. A restart of all processes leaves the files.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from django.conf import settings

BACKUP, RETENTION = "backup", "retention"


@dataclass(frozen=True)
class Run:
    """`what`: the file of a backup, "" for others."""

    at: datetime
    what: str = ""


def file_of(name: str) -> Path:
    return Path(settings.VAR_DIR) / f"last_{name}.json"


def note(name: str, at: datetime, what: str = "") -> None:
    """Keeps that this succeeded. Raises OSError."""
    file = file_of(name)
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as new:
        try:
            json.dump({"at": at.astimezone(UTC).isoformat(), "what": what}, new)
            new.flush()
            # Root may take the backups, and another user serves the figures.
            os.fchmod(new.fileno(), 0o644)
            Path(new.name).replace(file)
        except BaseException:
            Path(new.name).unlink(missing_ok=True)
            raise


def last(name: str) -> Run | None:
    """None for never, or if it is not known."""
    try:
        known = json.loads(file_of(name).read_text())
        return Run(datetime.fromisoformat(known["at"]).astimezone(UTC), str(known.get("what", "")))
    except (OSError, ValueError, LookupError, TypeError):
        return None
