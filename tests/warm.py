"""`manage.py` without the second that its imports take, for tests that run many commands.

Each command is a process of its own, with its own environment, arguments, standard streams and exit code, and runs
manage.py. But it is forked from a process that waits with everything imported. There is one such process for each
environment, because the settings are read from it. All are forked from a first one, which has only imported libraries.
All end with the run, even if it is killed.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from .processes import send_signal
from .services import RUN_DIR

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


_lock = threading.Lock()
_first: list[tuple[_Forker, subprocess.Popen[bytes]]] = []
_waiting: OrderedDict[str, _Forker] = OrderedDict()


def manage(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    seconds: float = 120,
    is_once: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a command of manage.py to its end in exactly this environment, like subprocess.run().

    `is_once`: no other command will have this environment.
    """
    variables = {name: value for name, value in environment.items() if name != _OF_PYTEST}
    asked: dict[str, Any] = {"arguments": arguments}
    with _lock:
        forker = None if is_once else _forker_in(variables)
        if not forker:
            forker, asked["environment"] = _first_forker(), variables
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        streams = [given, out, err]
        with closing(forker.ask(asked, [stream.fileno() for stream in streams])) as answers:
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
    """None if all cannot be imported, as with wrong settings: the command itself shall say why."""
    key = json.dumps(variables, sort_keys=True)
    if key not in _waiting:
        first = _first_forker()
        while len(_waiting) >= _KEPT:
            send_signal(_waiting.popitem(last=False)[1].pid, signal.SIGTERM)
        address = str(Path(first.address).with_name(secrets.token_hex(8)))
        with closing(first.ask({"environment": variables, "address": address})) as answers:
            pid = answers.next(60)
        if not pid:
            return None
        _waiting[key] = _Forker(address, pid)
    _waiting.move_to_end(key)
    return _waiting[key]


def _first_forker() -> _Forker:
    if not _first:
        folder = tempfile.mkdtemp(prefix="warm-", dir=os.environ.get(RUN_DIR))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        # It ends when its stdin is closed, which the kernel does when this process ends.
        command = [sys.executable, "-m", "tests.warm_process", f"{folder}/first"]
        child = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        _first.append((_Forker(f"{folder}/first", child.pid), child))
    return _first[0][0]
