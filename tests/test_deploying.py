"""The files to deploy with: the compose file's commands and proxy, the image's recipe, and the systemd units."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from . import services
from .exchange import ROOT
from .nginx import start_nginx
from .processes import free_port, start, until

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SYSTEMD = ROOT / "docs" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
# Those that no container runs: /metrics serves the figures there, and the host's own timer takes the backups.
ONLY_OF_SYSTEMD = ("casexchange-backup", "casexchange-metrics")
# The exposure by `systemd-analyze security`, of 10.
MOST_EXPOSED = 2.0


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: `make test` installs it."
    return found


def command_of(service: str, port: int) -> list[str]:
    """What the container of a service runs, on a port of the test."""
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    words = [*yaml.safe_load(entry[1]), *COMPOSE["services"][service]["command"]]
    return [str(port) if word == "8000" else "127.0.0.1" if word == "0.0.0.0" else word for word in words]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """That of the containers, with the servers of the tests in place of `database` and `broker`."""
    name = f"compose_{secrets.token_hex(6)}"
    services.create_postgresql_database(name)
    values = COMPOSE["services"]["web"]["environment"]
    plain = {key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in values.items()}
    kept = {key: value for key, value in os.environ.items() if key in ("HOME", "LANG", "LD_LIBRARY_PATH")}
    return {
        **kept,
        **plain,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "VAR_DIR": str(tmp_path / "var"),
        "DATABASE_URL": services.postgresql_url(name),
        "CELERY_BROKER_URL": services.redis_url(services.worker_number()),
        "TRUSTED_PROXIES": "127.0.0.1",
    }


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with what the image has of the project."""
    folder = tmp_path / "image"
    first, *lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert first == "*"  # so no key, database or test gets into the image
    for line in lines:
        found = [*ROOT.glob(line.removeprefix("!"))] if line.startswith("!") else []
        assert found or not line.startswith("!"), line
        for path in found:
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    return folder


def test_what_compose_starts_works_together(tmp_path: Path, image: Path, environment: dict[str, str]):
    """The real commands, entry point, environment and proxy configuration; without containers, which need a daemon."""
    web, port = free_port(), free_port()
    var = Path(environment["VAR_DIR"])
    var.mkdir(mode=0o700)
    assert (image / "docs" / "connections.md").exists()  # which is a page, too
    refused = subprocess.run(command_of("web", web), cwd=image, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "SECRET_KEY is not set" in refused.stderr
    for _ in range(2):  # at each start
        prepared = subprocess.run(
            command_of("prepare", web), cwd=image, env=environment, capture_output=True, text=True
        )
        assert prepared.returncode == 0, prepared.stderr
        keys = {name: (var / name).read_text() for name in ("secret_key", "field_encryption_keys")}
        assert {oct((var / name).stat().st_mode & 0o777) for name in keys} == {"0o600"}
    running = []
    try:
        for service in ("web", "worker", "beat"):
            log = tmp_path / f"{service}.log"
            running.append(start(command_of(service, web), log=log, environment=environment, cwd=image))
        here = {"server web:8000 ": f"server 127.0.0.1:{web} ", "listen 8080;": f"listen 127.0.0.1:{port};"}
        running.append(start_nginx(tmp_path, ROOT / "docs" / "compose" / "nginx.conf", here))
        address = f"http://127.0.0.1:{port}"

        def ready() -> requests.Response | None:
            for process in running:
                process.check_running()
            try:
                answer = requests.get(f"{address}/readyz", timeout=10)
            except requests.ConnectionError:
                return None
            return answer if answer.status_code == 200 else None

        answer = until("all is well", ready, pause=0.3)
        assert {check["state"] for check in answer.json()["checks"].values()} == {"ok"}
        page = requests.get(f"{address}/", timeout=10)
        assert page.url.startswith(f"{address}/accounts/login/") and page.status_code == 200
        style = re.search(r'href="(/static/[^"]+\.css)"', page.text)
        assert requests.get(f"{address}{style[1]}", timeout=10).status_code == 200
    finally:
        for process in reversed(running):
            process.stop()


def test_the_containers_are_confined():
    ours = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "casexchange"}
    assert {*ours} == {"prepare", "web", "worker", "beat"}
    for name, service in ours.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert COMPOSE["networks"]["inside"]["internal"]
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:${PORT:-8080}:8080"]
    recipe = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^USER (\w+)$", recipe, re.MULTILINE) == ["10001"]


def test_the_recipe_of_the_image_and_the_entry_point_follow_the_rules():
    hadolint = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    entry = ROOT / "docs" / "compose" / "entrypoint.sh"
    assert subprocess.run(["sh", "-n", entry], capture_output=True).returncode == 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_systemd_unit_is_valid_and_confined(unit: Path, tmp_path: Path):
    """Its program is that of this environment. Nothing is started."""
    text = unit.read_text().replace("/opt/casexchange/.venv/bin", str(Path(sys.executable).parent))
    text = text.replace("/opt/casexchange", str(ROOT))
    here = tmp_path / unit.name
    here.write_text(re.sub(r"^EnvironmentFile=.*\n", "", text, flags=re.MULTILINE))
    systemd = program("systemd-analyze")
    checked = subprocess.run([systemd, "verify", here], capture_output=True, text=True)
    assert checked.returncode == 0 and unit.stem not in checked.stderr, checked.stderr
    told = subprocess.run([systemd, "security", "--offline=yes", here], capture_output=True, text=True)
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", told.stdout)[1])
    assert exposure <= MOST_EXPOSED, told.stdout


def test_the_timer_of_the_backup_is_valid_and_daily_also_when_the_clocks_change():
    timer = SYSTEMD / "casexchange-backup.timer"
    checked = subprocess.run([program("systemd-analyze"), "verify", timer], capture_output=True, text=True)
    assert timer.name not in checked.stderr, checked.stderr
    [calendar] = re.findall(r"^OnCalendar=(.*)$", timer.read_text(), re.MULTILINE)
    # Two days before the clocks go forward, which leaves out another hour in each zone.
    for zone, day in (
        ("Europe/Berlin", "2027-03-26"),
        ("America/New_York", "2027-03-12"),
        ("Africa/Cairo", "2027-04-28"),
    ):
        asked = [program("systemd-analyze"), "calendar", f"--base-time={day} 12:00", "--iterations=4", calendar]
        told = subprocess.run(asked, capture_output=True, text=True, env={**os.environ, "TZ": zone})
        assert told.returncode == 0, told.stderr
        found = re.findall(r"\(in UTC\): \w+ (\S+ \S+) UTC", told.stdout)
        nights = [datetime.fromisoformat(f"{moment}Z") for moment in found]
        assert len(nights) == 4
        assert max(later - earlier for earlier, later in pairwise(nights)) <= timedelta(hours=25), (zone, told.stdout)


def test_the_unit_of_the_backup_takes_one_and_removes_old_ones_as_systemd_would(environment, tmp_path: Path):
    text = (SYSTEMD / "casexchange-backup.service").read_text().replace("%%", "%").replace("$$", "$")
    backups = tmp_path / "backups"
    backups.mkdir()
    for there, here in (
        ("/var/backups/casexchange", str(backups)),
        ("/opt/casexchange/.venv/bin/python", sys.executable),
    ):
        text = text.replace(there, here)
    keys = {"SECRET_KEY": os.environ["SECRET_KEY"]}
    run_in = {"cwd": ROOT, "env": environment | keys, "capture_output": True, "text": True}
    assert subprocess.run([sys.executable, "manage.py", "migrate"], **run_in).returncode == 0
    (backups / ".desk-killed.tar.gz.dump-x").mkdir()
    (backups / ".desk-killed.tar.gz.dump-x" / "database").touch()
    kept = {"desk-young.tar.gz": 13, "before-the-upgrade.tar.gz": 99}
    gone = {"desk-old.tar.gz": 15, "desk-killed.tar.gz.part": 15, ".desk-killed.tar.gz.dump-x": 15}
    for name, age in {**kept, **gone}.items():
        if not (backups / name).exists():
            (backups / name).touch()
        os.utime(backups / name, (time.time() - age * 86_400,) * 2)
    for command in re.findall(r"^ExecStart(?:Post)?=(.*)$", text, re.MULTILINE):
        done = subprocess.run(shlex.split(command), **run_in)
        assert done.returncode == 0, done.stdout + done.stderr
    left = {file.name for file in backups.iterdir()}
    [taken] = left - {*kept}
    assert re.fullmatch(r"desk-\d{4}-\d\d-\d\dT\d{6}\.tar\.gz", taken)


def test_the_units_run_what_compose_runs():
    started: dict[str, Any] = {}
    for unit in (unit for unit in UNITS if unit.stem not in ONLY_OF_SYSTEMD):
        line = re.search(r"^ExecStart=/opt/casexchange/.venv/bin/(.*)$", unit.read_text(), re.MULTILINE)
        started[unit.stem.removeprefix("casexchange-")] = shlex.split(line[1])
    composed = {name: COMPOSE["services"][name]["command"] for name in started}
    composed["web"] = ["127.0.0.1" if word == "0.0.0.0" else word for word in composed["web"]]
    assert started == composed
