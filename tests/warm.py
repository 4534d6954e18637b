"""`manage.py` without the second that its imports take, for tests that run many commands.

Each command is a process of its own, with its own environment, arguments, standard streams and exit code, and runs
manage.py. But it is forked from a process that waits with everything imported. There is one such process for each
environment, because the settings are read from it. All are forked from a first one, which has only imported libraries.
All end with the run, even if it is killed.
"""

from __future__ import annotations

import atexit
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .processes import send_signal

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = 4  # environments whose process waits: that of the tests, and those of the present test
# pytest sets it anew for each test. No command reads it.
_OF_PYTEST = "PYTEST_CURRENT_TEST"


class _Forker:
    """A process that forks a command, or another forker, for each connection to its socket."""

    def __init__(self, address: str, pid: int) -> None:
        self.address, self.pid = address, pid

    def ask(self, what: dict[str, Any], streams: Sequence[int] = ()) -> _Answers:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        socket.send_fds(connection, [json.dumps(what).encode() + b"\n"], streams)
        return _Answers(connection)


class _Answers:
    """Numbers, one in a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")

    def next(self, seconds: float) -> int:
        self._connection.settimeout(seconds)
        return int(self._lines.readline())

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


_first: list[_Forker] = []
_waiting: OrderedDict[str, _Forker] = OrderedDict()


def manage(
    arguments: Sequence[str], environment: Mapping[str, str], *, stdin: str = "", seconds: float = 120
) -> subprocess.CompletedProcess[str]:
    """Runs a command of manage.py to its end in exactly this environment, like subprocess.run()."""
    variables = {name: value for name, value in environment.items() if name != _OF_PYTEST}
    forker = _forker_in(variables)
    if not forker:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=_ROOT,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        streams = [given, out, err]
        with closing(forker.ask({"run": arguments}, [stream.fileno() for stream in streams])) as answers:
            pid = answers.next(seconds)
            try:
                status = answers.next(seconds)
            except TimeoutError:
                send_signal(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["manage.py", *arguments], seconds) from None
        texts = []
        for stream in streams[1:]:
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess(["manage.py", *arguments], status, *texts)


def _forker_in(variables: Mapping[str, str]) -> _Forker | None:
    """None if the settings cannot be read: then only a whole process says so as for a person."""
    key = json.dumps(variables, sort_keys=True)
    if key not in _waiting:
        if not _first:
            _first.append(_begin())
        while len(_waiting) >= _KEPT:
            send_signal(_waiting.popitem(last=False)[1].pid, signal.SIGTERM)
        address = tempfile.mktemp(dir=Path(_first[0].address).parent)  # noqa: S306 - in a private folder
        with closing(_first[0].ask({"environment": variables, "address": address})) as answers:
            pid = answers.next(60)
        if not pid:
            return None
        _waiting[key] = _Forker(address, pid)
    _waiting.move_to_end(key)
    return _waiting[key]


def _begin() -> _Forker:
    # Not in the folder of the run: a socket's path may have no more than 107 characters.
    folder = tempfile.mkdtemp(prefix="warm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.warm_process", f"{folder}/first"],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    assert child.stdout.readline() == b"ready\n"
    return _Forker(f"{folder}/first", child.pid)
