"""Processes of the product without the second that their imports take: commands, web servers, workers, beat.

Each is a process of its own, with its own environment, arguments, standard streams and exit code, and runs manage.py or
a module, as `python -m` does. But it is forked from a process that waits with everything imported. There is one such
process for each environment, because the settings are read from it. All are forked from a first one, which has only
imported libraries. All end with the run, even if it is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import secrets
import select
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

from .processes import Process, send_signal
from .services import RUN_DIR

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = 4  # environments whose process waits: that of the tests, and those of the present test
# pytest sets it anew for each test. No command reads it.
_OF_PYTEST = "PYTEST_CURRENT_TEST"


class _Forker:
    """A process that forks a command, or another forker, for each connection to its socket."""

    def __init__(self, address: str, pid: int) -> None:
        self.address, self.pid = address, pid
        self.started: list[_Child] = []  # they end with it

    def ask(self, what: dict[str, Any], streams: Sequence[int] = ()) -> _Answers:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        socket.send_fds(connection, [json.dumps(what).encode() + b"\n"], streams)
        return _Answers(connection)


class _Answers:
    """Numbers, one in a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._read = b""

    def next(self) -> int:
        """Waits for it, at most a minute: it is a fault if nothing is said. Raises TimeoutError."""
        while b"\n" not in self._read:
            if not self.wait(60):
                raise TimeoutError("The process that forks others says nothing.")
            part = self._connection.recv(100)
            assert part, "the process that says it has ended"
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return int(line)

    def wait(self, seconds: float | None) -> bool:
        """Whether there is a number, at the latest after so many seconds."""
        return b"\n" in self._read or bool(select.select([self._connection], [], [], seconds)[0])

    def close(self) -> None:
        self._connection.close()


class _Child:
    """A process that was started here. It has what Process needs of subprocess.Popen."""

    def __init__(self, arguments: Sequence[str], answers: _Answers) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self.answers = answers
        self.pid = answers.next()
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, negative after a signal. None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not self.answers.wait(timeout):
            raise subprocess.TimeoutExpired([*self.args], timeout or 0)
        with self._lock:  # another thread may wait too
            if self.returncode is None:
                self.returncode = self.answers.next()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            send_signal(self.pid, signal.Signals(number))

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


_lock = threading.Lock()
_first: list[tuple[_Forker, subprocess.Popen[bytes]]] = []
_waiting: OrderedDict[str, _Forker] = OrderedDict()


def start(arguments: Sequence[str], environment: Mapping[str, str], log: Path, *, is_once: bool = False) -> Process:
    """Starts manage.py with these arguments, or a module: `["-m", "celery", ...]`. The caller must end it.

    Its stdout and stderr go to `log`. `is_once`: no other process will have exactly this environment.
    """
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        begin = output.tell()
        child = _fork(arguments, environment, [nothing.fileno(), output.fileno(), output.fileno()], is_once=is_once)
    return Process(child, log, begin, signal.SIGTERM)


def manage(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    stdin: str = "",
    seconds: float = 120,
    is_once: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Runs a command of manage.py to its end in exactly this environment, like subprocess.run().

    `is_once`: see `start`.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        streams = [given, out, err]
        child = _fork(arguments, environment, [stream.fileno() for stream in streams], is_once=is_once)
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise
        finally:
            child.answers.close()
        texts = []
        for stream in streams[1:]:
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess(["manage.py", *arguments], status, *texts)


def _fork(arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[int], *, is_once: bool) -> _Child:
    variables = {name: value for name, value in environment.items() if name != _OF_PYTEST}
    asked: dict[str, Any] = {"arguments": arguments}
    with _lock:
        forker = None if is_once else _forker_in(variables)
        if not forker:
            forker, asked["environment"] = _first_forker(), variables
        child = _Child(arguments, forker.ask(asked, streams))
        forker.started = [other for other in forker.started if other.poll() is None] + [child]
    return child


def _forker_in(variables: Mapping[str, str]) -> _Forker | None:
    """None if all cannot be imported, as with wrong settings: the command itself shall say why."""
    key = json.dumps(variables, sort_keys=True)
    if key not in _waiting:
        first = _first_forker()
        for former, forker in [*_waiting.items()][: max(0, len(_waiting) - _KEPT + 1)]:
            if all(child.poll() is not None for child in forker.started):
                send_signal(_waiting.pop(former).pid, signal.SIGTERM)
        address = str(Path(first.address).with_name(secrets.token_hex(8)))
        with closing(first.ask({"environment": variables, "address": address})) as answers:
            pid = answers.next()
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
