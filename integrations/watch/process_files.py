"""The files in which each process counts, and their sum. Pure, so that the settings can import it.

prometheus-client gives each process its own files, so that counting needs no lock over all. A process also holds a lock
on a file of its own: if that lock can be had, the process has ended, whatever its host or container. What it counted is
then added to the files of the ended ones, so that no counter goes back, and there are few files.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

# Of the processes that have ended.
_ENDED = "ended"
_PID = 0


class _Own:
    """The name of this process in its files. `file` is locked as long as the process lives.

    A process that counts nothing has none.
    """

    folder: Path | None = None
    name = ""
    pid = _PID
    file: IO[str] | None = None


def count_in(folder: Path) -> None:
    """Lets all metrics of this process count in `folder`. Call it before the first metric is made."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(_name)
    _Own.folder = folder


def _name() -> str:
    """Called at each count, and anew in a forked child: it must be quick."""
    if _Own.pid != os.getpid() and _Own.folder is not None:
        _claim(_Own.folder)
    return _Own.name


def _claim(folder: Path) -> None:
    """Takes a name for this process. The first of all processes begins at zero."""
    _Own.name, _Own.file = "", None  # of the process that this one was forked from
    # Containers often run with the same few process ids, and some with the name of their host.
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}".replace("_", "-")
    with _locked(folder):
        if not _fold(folder):
            for file in folder.glob("*.db"):
                file.unlink()
        own = (folder / f"{name}.lock").open("w")
        fcntl.flock(own, fcntl.LOCK_EX)
    _Own.name, _Own.pid, _Own.file = name, os.getpid(), own


def summed(folder: Path) -> list[Metric]:
    """What all processes have counted in this folder, those that have ended included."""
    with _locked(folder):
        _fold(folder)
        return [*MultiProcessCollector(None, str(folder)).collect()]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "fold").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _fold(folder: Path) -> bool:
    """Adds what ended processes counted to the files of the ended ones. Returns whether other processes live."""
    alive = {file.stem for file in folder.glob("*.lock") if _is_held(file)}
    for file in folder.glob("*.db"):
        kind, _, name = file.stem.partition("_")
        if name in alive or name == _ENDED:
            continue
        total = MmapedDict(str(folder / f"{kind}_{_ENDED}.db"))
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            total.write_value(key, total.read_value(key)[0] + value, 0.0)
        total.close()
        file.unlink()
    return bool(alive - {_Own.name})


def _is_held(file: Path) -> bool:
    """Whether the process of this lock lives. Removes the file if not."""
    if _Own.file is not None and file.stem == _Own.name and _Own.pid == os.getpid():
        return True
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        file.unlink()
        return False
