"""The run of all tests prints its duration, and leaves no processes or files behind after Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import services
from .exchange import ROOT
from .processes import until

# The environment of a run by hand, without the settings of the run that contains this test.
OURS = ("CASEXCHANGE_TEST", "PYTEST_", "DATABASE_URL", "CELERY_BROKER_URL", "VAR_DIR", "MEDIA_ROOT", "DJANGO_")


@pytest.fixture
def folder() -> Path:
    """A folder for the temporary files of the runs. Other users, such as that of PostgreSQL, may enter it."""
    folder = Path(tempfile.mkdtemp(dir=services.run_dir()))
    folder.chmod(0o711)
    return folder


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a run in a separate process group, as a shell does. Its temporary files are in `folder`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.run", *arguments],
            cwd=ROOT,
            env={**environment, "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(child)
        return child

    yield run
    for child in started:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(30)


def processes_of(folder: Path) -> list[str]:
    """The processes that work in the folder, or use it for their temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if str(folder).encode() in told:
            found.append(f"{process.name}: {(process / 'cmdline').read_bytes()!r}")
    return found


@pytest.mark.parametrize(
    ("send", "number"),
    [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)],
    ids=["Ctrl-C, which a terminal sends to all in the foreground", "SIGTERM, to it alone"],
)
def test_a_signal_ends_all_that_a_run_has_started(
    start: Callable[..., subprocess.Popen[str]],
    folder: Path,
    send: Callable[[int, int], None],
    number: signal.Signals,
) -> None:
    run = start("tests/integrations/simulator/test_receiving.py")
    until("the services of both databases run", lambda: len([*folder.glob("casexchange-tests-*/redis.log")]) == 2)
    until("PostgreSQL takes connections", lambda: [*folder.glob("casexchange-tests-*/postgresql/.s.PGSQL.*[0-9]")])
    until("tests have started processes", lambda: [*folder.glob("casexchange-tests-*/simulator-*/simulator.log")])
    assert processes_of(folder)
    send(run.pid, number)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 128 + number, output
    until("no process is left", lambda: not processes_of(folder), seconds=10)
    assert [*folder.glob("casexchange-*")] == []


def test_a_run_ends_with_the_slowest_modules_and_the_result_of_each_database(
    start: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    run = start("tests/test_architecture.py", "-k", "only_the_outbox_writes", "-p", "no:cacheprovider", "-n", "0")
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    assert "tests/test_architecture.py" in output.partition("slowest modules")[2]
    results = output.partition("\nResults\n")[2].splitlines()
    assert [line.split()[:2] for line in results[:2]] == [["postgresql", "passed"], ["sqlite", "passed"]]
    assert results[2].startswith("together")
    assert processes_of(folder) == []
    assert [*folder.glob("casexchange-*")] == []
