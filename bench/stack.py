"""Everything that runs during a benchmark: the services, the sink, and the processes of both sides.

Both sides have equal conditions: web servers and workers of the same kind and number, the same PostgreSQL, the same
Redis, and the same sink.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from tests.processes import Process, free_port, start, until

from .services import PostgreSQL, Redis
from .sink_client import Sink

ROOT = Path(__file__).resolve().parent.parent
WEB_WORKERS = 2
WEB_THREADS = 4


@dataclass(frozen=True)
class Side:
    """Ours or the baseline: the module names of its processes, and the number of its Redis database."""

    name: str
    interface: str
    web: str
    celery: str
    redis_number: int


OURS = Side("ours", "asginl", "casexchange.asgi:application", "casexchange", 1)
BASELINE = Side("baseline", "wsgi", "bench.baseline.desk.wsgi:application", "bench.baseline.celery_post", 2)


class Stack:
    """A context manager. At its end, even after an error, all processes end and the folder is deleted."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="casexchange-bench-"))
        self.folder.chmod(0o711)  # the owner of the PostgreSQL cluster must be able to enter it
        self._processes: list[Process] = []
        self._secret_key = secrets.token_urlsafe(50)

    def __enter__(self) -> Stack:
        try:
            self.postgresql = PostgreSQL(self.folder / "postgresql")
            self._processes.append(self.postgresql.process)
            self.redis = Redis(self.folder / "redis")
            self._processes.append(self.redis.process)
            self.sink = self._start_sink()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, Exception):
            print(self.logs(), file=sys.stderr)
        self.close()

    def close(self) -> None:
        """Ends all started processes, the last one first."""
        for process in reversed(self._processes):
            process.stop()
        self._processes.clear()
        shutil.rmtree(self.folder)

    def describe(self) -> str:
        """A line about the machine and the versions."""
        versions = [f"{package} {version(package)}" for package in ("django", "granian", "celery", "psycopg")]
        (server,) = self.postgresql.settings("server_version")
        durable = ("fsync", "synchronous_commit", "full_page_writes")
        values = zip(durable, self.postgresql.settings(*durable), strict=True)
        return "\n".join(
            [
                f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}",
                f"PostgreSQL {server}: {', '.join(f'{name} {value}' for name, value in values)}",
            ]
        )

    # --- Processes of one side ---

    def environment(self, side: Side, database: str, **more: str) -> dict[str, str]:
        return {
            "DEBUG": "0",
            "SECRET_KEY": self._secret_key,
            "VAR_DIR": str(self.folder / side.name),
            "MEDIA_ROOT": str(self.folder / side.name / "media"),
            "DATABASE_URL": self.postgresql.url(database),
            "CELERY_BROKER_URL": self.redis.url(side.redis_number),
            "OUTGOING_ALLOWED_NETWORKS": "127.0.0.0/8",
            "LOG_LEVEL": "WARNING",
            "REQUIRE_SECOND_FACTOR_FOR": "",
            "SINK": self.sink.url,
            **more,
        }

    def run_module(self, module: str, *arguments: str, environment: dict[str, str], stdin: str = "") -> str:
        """Runs `python -m module`, and returns its stdout. Raises RuntimeError with its output if it fails."""
        done = subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            input=stdin,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def start_web(self, side: Side, environment: dict[str, str]) -> tuple[Process, str]:
        """Starts a web server. Returns its process and its address once it answers."""
        port = free_port()
        options = ["--interface", side.interface, "--host", "127.0.0.1", "--port", str(port), "--no-ws"]
        size = ["--workers", str(WEB_WORKERS)]
        if side.interface == "wsgi":
            size += ["--blocking-threads", str(WEB_THREADS)]  # ours has as many: WEB_THREADS in the settings
        process = self._start(f"{side.name}-web", ["granian", *options, *size, side.web], environment)
        url = f"http://127.0.0.1:{port}"
        until(f"the web server of {side.name} answers", lambda: _answers(process, url))
        return process, url

    def start_workers(
        self, side: Side, environment: dict[str, str], count: int = 1, concurrency: int = 2
    ) -> list[Process]:
        """Starts `count` Celery workers with `concurrency` processes each. They begin with the queued tasks."""
        command = ["celery", "-A", side.celery, "worker", "--loglevel", "WARNING", "--pool", "prefork"]
        return [
            self._start(
                f"{side.name}-worker{number}",
                [*command, "--concurrency", str(concurrency), "--hostname", f"bench{number}@%h"],
                environment,
            )
            for number in range(count)
        ]

    def start_beat(self, environment: dict[str, str]) -> Process:
        """Starts beat, which runs the sweep. Returns once it runs, so that its start is not measured."""
        command = ["celery", "-A", OURS.celery, "beat", "--loglevel", "INFO", "--pidfile="]
        process = self._start("ours-beat", command, environment)
        until("beat has begun", lambda: "beat: Starting" in process.log())
        return process

    def stop(self, processes: Sequence[Process]) -> None:
        """Asks all processes to end, and waits. Each first finishes its current work."""
        for process in processes:
            process.check_running()
            process.ask_to_stop()
        for process in processes:
            process.stop(30)
            self._processes.remove(process)

    def logs(self, lines: int = 30) -> str:
        """The last lines of each log."""
        files = sorted(self.folder.glob("*.log"), key=lambda file: file.stat().st_mtime)
        ends = ["\n".join(file.read_text(errors="replace").splitlines()[-lines:]) for file in files]
        return "\n".join(f"--- {file.stem}\n{end}" for file, end in zip(files, ends, strict=True) if end)

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> Process:
        process = start(
            [sys.executable, "-m", *command], log=self.folder / f"{name}.log", environment=environment, cwd=ROOT
        )
        self._processes.append(process)
        return process

    def _start_sink(self) -> Sink:
        port = free_port()
        sink = Sink(self._start("sink", ["bench.sink", "--port", str(port)], {}), port)
        until("the sink answers", sink.answers)
        return sink


def _answers(process: Process, url: str) -> bool:
    process.check_running()
    try:
        urllib.request.urlopen(url, timeout=30).close()  # noqa: S310 - our own server
    except urllib.error.HTTPError:
        return True  # an error status is an answer too
    except OSError:
        return False
    return True
