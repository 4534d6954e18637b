"""What the tests need from every real desk: it starts in a private folder, and its own people can look and act."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from ..processes import Process, free_port, until

# What is prepared once for each version of a desk, such as its database, is kept here for the next run.
KEPT = Path(__file__).resolve().parent.parent.parent / ".pytest_cache" / "foreign"
PERSON, PERSON_NAME, OPENED_BY_US = "jdoe", "Jane Doe", "casexchange"
OLD = "A record from before the connection"


class Desk(ABC):
    """A real program on a free port of 127.0.0.1. `token` is that of the account `OPENED_BY_US`, which we call it with.

    The methods below are what its own staff do: Jane Doe looks and acts.
    """

    token: str
    process: Process

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = "not-used-anywhere-else-7"
        self.person = requests.Session()
        self.person.trust_env = False

    @abstractmethod
    def start(self) -> None:
        """Starts it, and waits until it answers."""

    @abstractmethod
    def is_answering(self) -> bool: ...

    @abstractmethod
    def records_of(self, number: str) -> list[str]:
        """The ids of the records with this change number."""

    @abstractmethod
    def title(self, record: str) -> str: ...

    @abstractmethod
    def status(self, record: str) -> str: ...

    @abstractmethod
    def texts(self, record: str) -> list[str]:
        """The texts that were added to a record, in order, whoever wrote them."""

    @abstractmethod
    def files(self, record: str) -> list[tuple[str, bytes]]: ...

    @abstractmethod
    def open(self, title: str, text: str) -> str:
        """Jane Doe opens a record. Returns its id."""

    @abstractmethod
    def reply(self, record: str, text: str) -> None: ...

    @abstractmethod
    def set_status(self, record: str, status: str) -> None: ...

    def until_ready(self) -> None:
        def ready() -> bool:
            self.process.check_running()
            try:
                return self.is_answering()
            except requests.ConnectionError:
                return False

        until(f"{type(self).__name__} answers", ready)

    def stop(self) -> None:
        """Ends it with its workers: some servers leave theirs behind."""
        if hasattr(self, "process"):
            self.process.kill_all()

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A call of Jane Doe. Returns the answer's JSON, or its bytes if it is none."""
        answer = self.person.request(method, self.url + path, timeout=30, **options)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.json() if is_json and answer.content else answer.content


def run(command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str]) -> str:
    """Runs a program to its end. Returns what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def kept(package: str, seed: str, prepare: Callable[[Path], None]) -> Path:
    """A folder that `prepare(folder)` filled, now or in an earlier run with the same package and the same seed."""
    state = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", package], capture_output=True, text=True
    ).stdout
    if not state:
        raise pytest.UsageError(f"{package} is missing: `make test` installs it.")
    folder = KEPT / f"{package}-{hashlib.sha256((state + seed).encode()).hexdigest()[:20]}"
    if not folder.exists():
        written = folder.with_suffix(f".{os.getpid()}.{time.time_ns()}")
        written.mkdir(parents=True)
        prepare(written)
        for former in KEPT.glob(f"{package}-*"):
            if former != written:
                shutil.rmtree(former, ignore_errors=True)  # another run may do the same
        written.rename(folder)  # whole, or not at all
    return folder
