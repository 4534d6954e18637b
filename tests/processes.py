"""Child processes that end with the test run, even if it is killed; and waiting for a condition."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Child(Protocol):
    """What is needed of subprocess.Popen."""

    pid: int

    @property
    def args(self) -> Any: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


class Process:
    """One child with its log file. The kernel also sends `signal_to_stop` when its parent dies."""

    def __init__(self, child: Child, log: Path, log_begin: int, signal_to_stop: signal.Signals) -> None:
        self.child = child
        self.log_file = log
        self._log_begin = log_begin  # the place in the log file where this run begins
        self.signal_to_stop = signal_to_stop
        self._is_asked = False  # a second signal would make it end at once

    def wait(self, seconds: float = 60) -> int:
        return self.child.wait(seconds)

    def log(self, lines: int = 60) -> str:
        """The last lines that it printed."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def has_printed(self, text: str) -> bool:
        """Whether it has printed this text since its start."""
        with self.log_file.open("rb") as log:
            log.seek(self._log_begin)
            return text.encode() in log.read()

    def check_running(self) -> None:
        """Raises RuntimeError with its log if it has ended."""
        if self.child.poll() is not None:
            raise RuntimeError(f"{self.child.args} ended with {self.child.returncode}:\n{self.log()}")

    def kill(self) -> None:
        """Kills it at once, like a crash."""
        self.child.kill()
        self.child.wait()

    def kill_all(self) -> None:
        """Kills it and all its descendants at once, like a power cut."""
        # All are stopped first, so that none notices the death of another and starts a new one.
        family = self.pause()
        for pid in family:
            send_signal(pid, signal.SIGKILL)
        self.child.wait()
        until("all of them have ended", lambda: not any(map(is_running, family)))

    def pause(self) -> list[int]:
        """Suspends it and all its descendants, with open connections, until `resume()`. Returns their ids."""
        stopped: list[int] = []
        while new := [pid for pid in self.family() if pid not in stopped]:
            for pid in new:
                send_signal(pid, signal.SIGSTOP)
            stopped += new
        return stopped

    def resume(self) -> None:
        for pid in self.family():
            send_signal(pid, signal.SIGCONT)

    def family(self) -> list[int]:
        """The ids of the process and of all its descendants. Empty after it has ended."""
        if self.child.poll() is not None:
            return []  # another process may have this id by now
        parents = _parents()
        found = [self.child.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def ask_to_stop(self) -> None:
        if self.child.poll() is None and not self._is_asked:
            self.child.send_signal(self.signal_to_stop)
            self._is_asked = True

    def stop(self, seconds: float = 15) -> None:
        """Asks it to end, and kills it if it does not."""
        self.ask_to_stop()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def start(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
    signal_to_stop: str = "SIGTERM",
) -> Process:
    """Starts a child process, as `user` if given. Its stdout and stderr go to `log`."""
    stop = signal.Signals[signal_to_stop]

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, stop)

    identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    with log.open("ab") as output:
        begin = output.tell()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment} if environment else None,
            cwd=cwd or ("/" if user else None),
            preexec_fn=die_with_parent,
            **identity,
        )
    return Process(child, log, begin, stop)


def installed(program: str) -> str:
    """The path of a program of the system. Raises FileNotFoundError if it is missing.

    The path of a user who is not root lacks /usr/sbin.
    """
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise FileNotFoundError(f"{program} is missing: `make test` or `make bench` installs it.")
    return found


def send_signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(pid, number)


def is_running(pid: int) -> bool:
    """Whether this process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _parents() -> dict[int, int]:
    """The parent of every running process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The format is "pid (name) state parent ...". The name may contain any character.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: str, condition: Callable[[], T], seconds: float = 60, pause: float = 0.02) -> T:
    """Waits until `condition()` is true. Returns its value. Raises TimeoutError with `what` in the message.

    `pause`: seconds between two looks. Longer where a look is work for the one that is waited for.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain until {what}.")
        time.sleep(pause)
    return value
