"""Starts the processes of an installation as children, each with a log file, and stops them together.

No child outlives this process: if it is killed, the kernel sends SIGTERM to each child.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from .environment import ROOT
from .interruption import INTERRUPTIONS

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
# Seconds that stop() waits for a child before killing it. A worker in a slow delivery may be killed: its claimed
# operations are sent again.
GRACE = 8
READY_WITHIN = 90
LAST_LINES = 12


class ChildEnded(Exception):  # noqa: N818 - names the event, as the message does
    """A child process ended unexpectedly. The message contains the last lines of its log."""


@dataclass
class Child:
    name: str
    log: Path
    process: subprocess.Popen[bytes]

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"


class Children:
    """The child processes. `logs`: the folder of the log files. `environment`: variables to add to our own."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str]) -> None:
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        parent = os.getpid()
        # Signals are blocked, because an interruption during the start could leave a child that stop() does not know.
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)

        def begin() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

        try:
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - our own commands
                    [sys.executable, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=ROOT,
                    env=self.environment,
                    # A session of its own, so that Ctrl-C reaches only this process, which stops its children in order.
                    start_new_session=True,
                    preexec_fn=begin,
                )
            self._children.append(Child(name, log, process))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

    def check(self) -> None:
        """Raises ChildEnded if a child has ended."""
        for child in self._children:
            if (code := child.process.poll()) is not None:
                how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
                raise ChildEnded(
                    f"The {child.name} process ended unexpectedly ({how}). "
                    f"The end of {child.log}:\n{child.last_lines()}"
                )

    def watch(self) -> None:
        """Waits until a child ends, then raises ChildEnded."""
        while True:
            self.check()
            time.sleep(0.2)

    def until_answers(self, url: str) -> None:
        """Waits until `url` answers without an error. Raises ChildEnded, or TimeoutError after READY_WITHIN seconds."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + READY_WITHIN
        while True:
            self.check()
            try:
                with opener.open(url, timeout=10):
                    return
            except OSError as error:  # an HTTPError is one too
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} gave no good answer within {READY_WITHIN} s: {error}") from error
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends all children. Kills those that do not end within GRACE seconds."""
        # At once, since some wait for others: the web server ends after the calls that a partner lets wait for news.
        for child in reversed(self._children):
            if child.process.poll() is None:
                child.process.terminate()
        while self._children:
            process = self._children.pop().process
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            # Kills its own children too: it may have died, or still been starting, without ending them.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def commands(port: int, simulator_port: int, simulator_config: Path) -> dict[str, list[str]]:
    """The commands of the processes, by name, in the order in which to start them."""
    celery = ["-m", "celery", "-A", "casexchange"]
    simulator = ["--port", str(simulator_port), "--config", str(simulator_config)]
    web = ["--interface", "asginl", "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
    return {
        **({"metrics": ["manage.py", "serve_metrics"]} if settings.METRICS_PORT else {}),
        "simulator": ["manage.py", "simulator", *simulator],
        "web": ["-m", "granian", *web, "casexchange.asgi:application"],
        "worker": [*celery, "worker", "--loglevel", "INFO"],
        "beat": [*celery, "beat", "--loglevel", "INFO", "--pidfile="],
    }
