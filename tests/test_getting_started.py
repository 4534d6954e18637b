"""From a fresh clone to a running product: the errors of the installer, each in one line, and the lock files.

The installer runs in a separate folder, with a PATH that has only the named programs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from . import services

ROOT = Path(__file__).resolve().parent.parent
DESKS = "dma dbconfig-no-thanks request-tracker5 rt5-standalone rt5-db-sqlite redmine redmine-sqlite webhook"
MISSING = (
    "chromium-headless-shell faketime nginx-light clamav-daemon pgbouncer clamdscan curl jq prometheus systemd gettext "
    + DESKS
)
# Programs that the installer looks for, besides Chromium.
PROGRAMS = [
    "redis-server",
    "faketime",
    "initdb",
    "msgfmt",
    "nginx",
    "clamd",
    "pgbouncer",
    "clamdscan",
    "curl",
    "jq",
    "promtool",
    "systemd-analyze",
    "sendmail",
    "webhook",
]
LOCKS = ["bootstrap", "dev", "run", "tracing"]
# Programs of every Debian.
TOOLS = ["sh", "make", "cat", "cksum", "cp", "dirname", "env", "expand", "id", "ls", "mkdir", "rm", "sed"]


class Clone:
    """A copy of the files for the start of a fresh clone, and a folder with the only available programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.programs = folder / "bin"
        self.programs.mkdir()
        (self.folder / "requirements").mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", self.folder)
        for file in (ROOT / "requirements").iterdir():
            shutil.copy(file, self.folder / "requirements")
        for tool in TOOLS:
            (self.programs / tool).symlink_to(shutil.which(tool) or tool)
        self.add_python("3.11")

    def add(self, name: str, script: str) -> None:
        """Adds a program to the PATH that runs this shell script."""
        program = self.programs / name
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def add_python(self, version: str, name: str = "python3") -> None:
        """Adds a Python that can only print its version."""
        self.add(name, f"echo {version}")

    def add_programs(self, *more: str) -> None:
        """Adds all programs that the tests need, except Chromium, and `more`."""
        for program in (*PROGRAMS, *more):
            self.add(program, "exit 0")
        self.add("dpkg-query", "echo installed")

    def sync(self, name: str) -> None:
        """Lets the folder look as after installing the packages of a lock file."""
        lock = (self.folder / "requirements" / f"{name}.txt").read_bytes()
        checksum = subprocess.run(["cksum"], input=lock, capture_output=True, check=True).stdout.decode().strip()
        (self.folder / ".venv" / "bin").mkdir(parents=True)
        shutil.copy(self.programs / "python3", self.folder / ".venv" / "bin" / "python")
        (self.folder / ".venv" / "synced").write_text(f"{name} {checksum}\n")

    def install(self, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run(["sh", "requirements/install.sh", target], environment)

    def make(self, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._run(["make", "--no-print-directory", target], environment)

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        # root may write to a read-only folder, but the user nobody may not
        identity: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        return subprocess.run(
            [self.programs / command[0], *command[1:]],
            cwd=self.folder,
            env={"PATH": str(self.programs), "CI": "true", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            extra_groups=[] if identity else None,
            **identity,
        )


@pytest.fixture
def clone() -> Clone:
    # Not tmp_path: only its owner may enter it.
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir=services.run_dir()))
    folder.chmod(0o755)
    clone = Clone(folder)
    clone.folder.chmod(0o777)
    return clone


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Checks that it failed with one line on stderr, which contains these parts."""
    assert done.returncode != 0
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0]


TARGETS = pytest.mark.parametrize("target", ["run", "demo", "test", "lint"])


@TARGETS
def test_a_python_too_old_is_told_in_one_line(clone: Clone, target: str) -> None:
    clone.add_python("3.9")
    assert_one_line(clone.make(target), "Python 3.9", "3.11 or newer", "PYTHON=")
    assert not (clone.folder / ".venv").exists()


@TARGETS
def test_a_missing_python_is_told_in_one_line(clone: Clone, target: str) -> None:
    assert_one_line(clone.make(target, PYTHON="python3.99"), "python3.99 was not found", "3.11")


@pytest.mark.parametrize(("version", "accepted"), [("2.7", False), ("3.10", False), ("3.11", True), ("4.0", True)])
def test_python_versions_are_compared_as_numbers(clone: Clone, version: str, accepted: bool) -> None:
    clone.add_python(version, "another-python")
    clone.sync("run")
    assert (clone.install("run", PYTHON="another-python").returncode == 0) is accepted


@TARGETS
def test_a_read_only_folder_is_told_in_one_line(clone: Clone, target: str) -> None:
    clone.folder.chmod(0o555)
    clone.add_programs("chromium-headless-shell")
    assert_one_line(clone.make(target), str(clone.folder), "cannot be written to")
    assert sorted(file.name for file in clone.folder.iterdir()) == ["Makefile", "requirements"]


def test_an_installed_read_only_folder_runs_with_its_data_elsewhere(clone: Clone, tmp_path: Path) -> None:
    clone.sync("run")
    clone.folder.chmod(0o555)
    done = clone.install("run", VAR_DIR=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_apt_get_the_missing_programs_are_named_in_one_line(clone: Clone) -> None:
    clone.add("initdb", "exit 0")
    done = clone.make("test")
    assert_one_line(
        done, "no apt-get", "redis-server", "chromium-headless-shell", "faketime", "nginx-light", "clamdscan", "gettext"
    )
    assert "postgresql" not in done.stderr


def test_without_root_and_sudo_the_command_is_told_in_one_line(clone: Clone) -> None:
    clone.add("apt-get", "echo called >>apt.log")
    clone.add("id", "echo 1000")
    clone.add("redis-server", "exit 0")
    clone.add("initdb", "exit 0")
    assert_one_line(
        clone.make("test"),
        f"apt-get install {MISSING}",
        "as root",
    )
    assert not (clone.folder / "apt.log").exists()


def test_only_what_is_missing_is_installed_and_without_questions(clone: Clone) -> None:
    clone.add("initdb", "exit 0")
    clone.add("sudo", 'echo sudo "$@" >>apt.log; "$@"')
    clone.add("id", "echo 1000")
    clone.add("apt-get", 'echo "${DEBIAN_FRONTEND:-}" apt-get "$@" >>apt.log')
    clone.sync("dev")
    done = clone.install("test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Installing with apt-get: redis-server {MISSING}\n"
    calls = (clone.folder / "apt.log").read_text()
    called = rf"^noninteractive apt-get .*install -y .* redis-server {MISSING}$"
    assert re.search(called, calls, re.MULTILINE)
    assert "sudo env DEBIAN_FRONTEND=noninteractive apt-get" in calls
    assert "postgresql" not in calls


@pytest.mark.parametrize("installed", ["redmine", "rt5-db-sqlite"])
def test_a_desk_is_installed_by_its_packages(clone: Clone, installed: str) -> None:
    """Not by its programs: a Request Tracker without SQLite is not enough."""
    clone.add_programs("chromium-headless-shell", "rt-setup-database-5")
    clone.add("dpkg-query", f'case "$*" in *" {installed}") echo installed ;; *) exit 1 ;; esac')
    clone.add("id", "echo 0")
    clone.add("apt-get", "exit 0")
    clone.sync("dev")
    done = clone.install("test")
    wanted = [package for package in DESKS.split() if package not in (installed, "dma", "webhook")]
    assert done.stdout == f"Installing with apt-get: {' '.join(wanted)}\n"


def test_a_failed_apt_get_is_shown(clone: Clone) -> None:
    clone.add("initdb", "exit 0")
    clone.add("id", "echo 0")
    clone.add("apt-get", "echo E: no such package >&2; exit 100")
    done = clone.install("test")
    assert done.returncode == 1
    assert "E: no such package" in done.stderr
    assert f"could not install redis-server {MISSING}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("status", [0, 100])
def test_chromium_itself_will_do_where_the_one_without_windows_cannot_be_had(clone: Clone, status: int) -> None:
    clone.add_programs("chromium")
    clone.add("id", "echo 0")
    clone.add("apt-get", f'echo "$@" >>apt.log; exit {status}')
    clone.sync("dev")
    done = clone.install("test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Installing with apt-get: chromium-headless-shell\n"
    assert (clone.folder / "apt.log").exists()


def test_a_python_without_venv_gets_its_package(clone: Clone) -> None:
    clone.add(
        "python3", 'case "$*" in *version_info*) echo 3.12 ;; *ensurepip*) exit 1 ;; *) echo "$@"; exit 3 ;; esac'
    )
    clone.add("id", "echo 0")
    clone.add("apt-get", "exit 0")
    done = clone.install("run")
    assert "Installing with apt-get: python3.12-venv" in done.stdout
    assert "-m venv .bootstrap" in done.stdout


@pytest.mark.parametrize(("installed", "target"), [("run", "run"), ("dev", "run"), ("dev", "lint")])
def test_what_is_installed_is_not_installed_again(clone: Clone, installed: str, target: str) -> None:
    clone.sync(installed)
    before = (clone.folder / ".venv" / "synced").read_text()
    done = clone.install(target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (clone.folder / ".venv" / "synced").read_text() == before


@pytest.mark.parametrize(("installed", "target", "wanted"), [("run", "lint", "dev"), ("dev", "run", "dev")])
def test_other_locks_are_installed(clone: Clone, installed: str, target: str, wanted: str) -> None:
    """After new lock files, `make run` keeps the packages of the tests."""
    clone.sync(installed)
    uv = clone.folder / ".bootstrap" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.write_text('#!/bin/sh\necho "$@" >>uv.log\n')
    uv.chmod(0o755)
    lock = (clone.folder / "requirements" / "bootstrap.txt").read_bytes()
    checksum = subprocess.run(["cksum"], input=lock, capture_output=True, check=True).stdout.decode()
    (clone.folder / ".bootstrap" / "synced").write_text(checksum)
    with (clone.folder / "requirements" / "dev.txt").open("a") as dev:
        dev.write("# locked anew\n")
    for file in [clone.folder / ".venv", *(clone.folder / ".venv").rglob("*")]:
        file.chmod(0o777)
    done = clone.install(target)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"requirements/{wanted}.txt" in (clone.folder / "uv.log").read_text()
    assert (clone.folder / ".venv" / "synced").read_text().startswith(f"{wanted} ")


# --- The locks ---


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_names_no_host(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|index|find-links|trusted", text)
    pins = re.findall(r"^[a-z].*", text, re.MULTILINE)
    assert pins
    assert all(re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==[^ ]+ (; .* )?\\$", pin) for pin in pins), pins


def _pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text, re.MULTILINE))


def test_the_tests_run_on_the_versions_that_the_product_runs_on() -> None:
    run, tracing, dev = _pins("run"), _pins("tracing"), _pins("dev")
    assert run.items() <= tracing.items() <= dev.items()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    run = project["project"]["dependencies"]
    tracing = [*run, *groups["tracing"]]
    wanted = {"run": run, "tracing": tracing, "dev": [*tracing, *groups["dev"]], "bootstrap": groups["bootstrap"]}
    for name, requirements in wanted.items():
        names = {re.split(r"[\[<>=~!; ]", requirement)[0].lower().replace("_", "-") for requirement in requirements}
        assert names <= {*_pins(name)}, name
