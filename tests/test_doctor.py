"""`manage.py doctor`: what is wrong with an installation, and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from integrations.models import ExternalSystem, SignOfLife
from integrations.workers import signs

from . import services
from .commands import database_url, manage
from .pgbouncer import PgBouncer
from .processes import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def doctor(**environment: str) -> tuple[int, str]:
    ran = manage("doctor", "--no-color", **environment)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def well(tmp_path: Path, acme: ExternalSystem) -> dict[str, str]:
    """The environment of an installation whose processes were heard just now."""
    for role in signs.ROLES:
        SignOfLife.objects.create(role=role, seen_at=timezone.now())
    media, var = tmp_path / "media", tmp_path / "var"
    media.mkdir(mode=0o700)
    var.mkdir(mode=0o700)
    environment = {"VAR_DIR": str(var), "MEDIA_ROOT": str(media), "BASE_URL": "https://desk.example.com"}
    environment["DJANGO_ALLOW_ASYNC_UNSAFE"] = ""  # the tests' own, which production must not have
    collected = manage("collectstatic", "--noinput", **environment)
    assert collected.returncode == 0, collected.stderr
    return environment


def test_a_well_installation_has_nothing_wrong(well):
    status, said = doctor(**well)
    assert status == 0, said
    lines = said.splitlines()
    assert [line for line in lines if line.startswith("wrong")] == []
    assert {"ok    database: well", "ok    migrations: well", "ok    broker: well", "ok    beat: well"} <= {*lines}
    assert "ok    secrets: all 1 can be read" in lines


def test_each_thing_that_is_wrong_is_named_with_its_mend(well, tmp_path):
    (Path(well["VAR_DIR"]) / "static" / "staticfiles.json").unlink()
    SignOfLife.objects.filter(role=signs.BEAT).delete()
    status, said = doctor(
        **well
        | {
            "MEDIA_ROOT": str(tmp_path / "nowhere"),
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0",
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "TRUSTED_PROXIES": "",
        }
    )
    assert status == 1
    for line in (
        f"wrong MEDIA_ROOT {tmp_path / 'nowhere'}: Nothing can be written there: No such file or directory",
        "      Make it, and give it to the user of the processes: install -d -m 0700 -o USER FOLDER",
        "wrong static files: They are not collected.",
        "      Run: manage.py collectstatic --noinput",
        "wrong beat: never heard",
        "      Start exactly one: celery -A casexchange beat",
        "      Check CELERY_BROKER_URL, and that Redis runs. Without it: manage.py deliver --forever",
        "wrong secrets: 1 of 1 cannot be read with the present keys: signing secret of external system",
        "TRUSTED_PROXIES is not set.",
        "5 wrong. Each has its mend below it.",
    ):
        assert line in said, said


def test_an_archive_that_is_not_mounted_is_wrong(well, tmp_path):
    archive = tmp_path / "archive"
    told = f"wrong RETENTION_ARCHIVE {archive}: Nothing can be written there: No such file or directory"
    status, said = doctor(**well, RETENTION_ARCHIVE=str(archive))
    assert (status, told in said) == (1, True), said
    archive.mkdir(mode=0o700)
    status, said = doctor(**well, RETENTION_ARCHIVE=str(archive))
    assert (status, f"ok    RETENTION_ARCHIVE {archive}: can be written to" in said) == (0, True), said
    assert "RETENTION_ARCHIVE" not in doctor(**well)[1]


# What switches it on again: an option of DATABASE_URL, or no limits, since nothing is sent to the server then.
JIT = [
    lambda: {"DATABASE_URL": f"{database_url()}?options=-c%20jit%3Don"},
    lambda: {f"DATABASE_{name}_TIMEOUT": "0" for name in ("STATEMENT", "LOCK", "IDLE")},
]


@pytest.mark.parametrize("switched_on", JIT, ids=["by the URL", "without limits"])
def test_jit_is_found_out_without_a_pooler_too(well, switched_on):
    assert " jit: " not in doctor(**well)[1]
    status, said = doctor(**well, **switched_on())
    assert status == 0, said
    assert "look  jit: It is on, which makes short queries slow.\n" in said, said
    assert "      In PostgreSQL: ALTER ROLE postgres SET jit = off; DATABASE_URL must not switch it on.\n" in said, said


def test_a_database_that_is_not_there_is_said_once(well):
    status, said = doctor(**well, DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/nothing")
    assert status == 1
    assert "wrong database:" in said and "Check DATABASE_URL" in said
    assert "Traceback" not in said


def test_what_pgbouncer_breaks_is_found_out(well):
    name = str(connection.settings_dict["NAME"])
    pooler = PgBouncer(services.run_dir() / f"pgbouncer-{name}", services.run_dir() / "postgresql", name, 5)
    try:
        status, said = doctor(**well, DATABASE_URL=pooler.url(), DATABASE_PREPARED_STATEMENTS="1")
        assert status == 1
        assert "wrong time limits: A session has no statement_timeout, lock_timeout.\n" in said, said
        assert (
            "ALTER ROLE postgres SET statement_timeout = 30000; ALTER ROLE postgres SET lock_timeout = 15000;" in said
        )
        assert "ALTER ROLE postgres SET jit = off;" in said
        keeps = pooler.version() >= (1, 22)
        assert ("wrong pooler: It loses prepared statements between transactions" in said) is not keeps, said
        status, said = doctor(
            **well,
            DATABASE_URL=pooler.url(),
            DATABASE_PREPARED_STATEMENTS="0",
            DATABASE_STATEMENT_TIMEOUT="0",
            DATABASE_LOCK_TIMEOUT="0",
        )
        assert status == 0, said
        assert "ok    pooler: between here and PostgreSQL, and no statement is prepared" in said
    finally:
        pooler.stop()
