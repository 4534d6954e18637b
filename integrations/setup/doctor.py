"""What is wrong with an installation, and the mend of each. Reads only; makes and removes a file in each folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from django.utils import timezone
from django.utils.timesince import timesince

from changes.models import restored_copy
from changes.replica.reading import REPLICA, has_replica
from integrations.backup import resuming
from integrations.backup.programs import server_version
from integrations.fields import EncryptedTextField, Undecryptable
from integrations.retention import sweeping
from integrations.watch import readiness
from integrations.workers import last_runs, signs

from . import doctor_sessions
from .finding import Finding, Verdict

# Free bytes below which a disk is nearly full, and seconds by which two clocks may differ.
FREE, APART = 1024**3, 5
# As the alerts: a day, and every ten minutes, with some leeway.
BACKUP_OLD, RETENTION_OLD = timedelta(hours=26), timedelta(hours=2)
OLDEST_POSTGRESQL = 13
# Django's checks of settings that follow from BASE_URL.
OF_HTTPS = {"security.W004", "security.W008", "security.W012", "security.W016"}


MENDS = {
    readiness.DATABASE: "Check DATABASE_URL, and that the database server runs and lets this machine in.",
    readiness.MIGRATIONS: "Run: manage.py migrate",
    readiness.BROKER: "Check CELERY_BROKER_URL, and that Redis runs. Without it: manage.py deliver --forever",
    signs.BEAT: f"Start exactly one: {signs.STARTED_BY[signs.BEAT]}",
    signs.DELIVERY: f"Start a worker: {signs.STARTED_BY[signs.DELIVERY]}",
    signs.HOUSEKEEPING: f"Start a worker: {signs.STARTED_BY[signs.HOUSEKEEPING]}",
}


def findings() -> Iterator[Finding]:
    """What was looked at, in the order in which an installation is made."""
    yield from _settings()
    for name in ("VAR_DIR", "MEDIA_ROOT", *(["RETENTION_ARCHIVE"] if settings.RETENTION_ARCHIVE else [])):
        yield from _folder(name, Path(getattr(settings, name)))
    yield _static_files()
    checks = readiness.checks()
    for name, check in checks.items():
        if name == readiness.DATABASE and not check.is_ok:
            yield Finding(Verdict.WRONG, name, _why() or check.detail, MENDS[name])
        elif check.is_ok:
            yield Finding(Verdict.OK, name, "well")
        elif check.state == readiness.FAILING:
            mend = MENDS[name]
            if name in signs.ROLES and not checks[signs.BEAT].is_ok and name != signs.BEAT:
                mend = "Start beat first: workers are heard at its sweeps."
            yield Finding(Verdict.WRONG, name, check.detail or "not well", mend)
        else:
            yield Finding(Verdict.LOOK, name, f"not known: {check.detail}")
    if checks[readiness.DATABASE].is_ok and checks[readiness.MIGRATIONS].is_ok:
        yield from _database()
        if has_replica():
            yield _replica()
        yield from _secrets()
        yield from _restored_copy()
    yield from _last_runs()


def _why() -> str:
    """What the database says to a new connection."""
    try:
        connection.ensure_connection()
    except Error as error:
        return " ".join(str(error).split())
    return ""


def _restored_copy() -> Iterator[Finding]:
    if copy := restored_copy():
        mend = "When the original is ended for good: manage.py resume_after_restore"
        yield Finding(Verdict.LOOK, "exchange", resuming.told(copy), mend)


def _last_runs() -> Iterator[Finding]:
    backup = last_runs.last(last_runs.BACKUP)
    mend = "Run: manage.py backup FILE, and let a timer do so every day: docs/operations.md#back-up"
    if backup is None:
        yield Finding(Verdict.LOOK, "last backup", "None was taken on this machine.", mend)
    else:
        yield _last_run("last backup", backup, BACKUP_OLD, mend)
    if not sweeping.is_wanted():
        return
    ran, mend = last_runs.last(last_runs.RETENTION), "Run: manage.py retain. It says what is wrong."
    if ran is None:
        yield Finding(Verdict.LOOK, "last retention", "It never ran on this machine.", mend)
    else:
        yield _last_run("last retention", ran, RETENTION_OLD, mend)


def _last_run(subject: str, run: last_runs.Run, old: timedelta, mend: str) -> Finding:
    said = ", ".join(filter(None, [run.what, f"{timesince(run.at, depth=1)} ago"])).replace("\xa0", " ")
    if timezone.now() - run.at > old:
        return Finding(Verdict.LOOK, subject, said, mend)
    return Finding(Verdict.OK, subject, said)


def _settings() -> Iterator[Finding]:
    """Django's checks and ours, those for production too."""
    try:
        messages = run_checks(include_deployment_checks=True, databases=[DEFAULT_DB_ALIAS])
    except Error as error:
        messages = run_checks(include_deployment_checks=True)
        yield Finding(Verdict.LOOK, "settings", f"The records were not checked: {error}", MENDS[readiness.DATABASE])
    # That of the description of the API reads the database, and says so in many words if it cannot.
    messages = [message for message in messages if message.id != "drf_spectacular.W001"]
    if not settings.BASE_URL.startswith("https://"):
        messages = [message for message in messages if message.id not in OF_HTTPS]
        said = f"BASE_URL is {settings.BASE_URL}, so passwords and tokens can be read on their way."
        yield Finding(Verdict.LOOK, "settings", said, "Put a TLS proxy in front, and set BASE_URL=https://...")
    for message in messages:
        if not message.is_silenced():
            verdict = Verdict.WRONG if message.level >= ERROR else Verdict.LOOK
            yield Finding(verdict, "settings", f"{message.msg} ({message.id})", message.hint or "")
    if not messages:
        yield Finding(Verdict.OK, "settings", "nothing to say")


def _folder(name: str, folder: Path) -> Iterator[Finding]:
    subject = f"{name} {folder}"
    mend = "Make it, and give it to the user of the processes: install -d -m 0700 -o USER FOLDER"
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding(Verdict.WRONG, subject, f"Nothing can be written there: {error.strerror or error}", mend)
        return
    if folder.stat().st_mode & 0o007:
        yield Finding(Verdict.LOOK, subject, "Everybody on this machine can look into it.", f"Run: chmod o= {folder}")
    if free < FREE:
        said = f"Only {free // 1024**2} MB are free on its disk."
        yield Finding(Verdict.WRONG, subject, said, "Free space, or move it to a larger disk.")
    else:
        yield Finding(Verdict.OK, subject, f"can be written to, {free // 1024**3} GB free")


def _static_files() -> Finding:
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if manifest.is_file():
        return Finding(Verdict.OK, "static files", "collected")
    return Finding(Verdict.WRONG, "static files", "They are not collected.", "Run: manage.py collectstatic --noinput")


def _database() -> Iterator[Finding]:
    if connection.vendor != "postgresql":
        said = f"It is {connection.display_name}, which is for trying things out."
        yield Finding(Verdict.LOOK, "database", said, "Set DATABASE_URL to a PostgreSQL database in production.")
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), current_setting('server_encoding')")
        now, encoding = cursor.fetchone()
    version = server_version()
    if version < OLDEST_POSTGRESQL:
        yield Finding(
            Verdict.WRONG, "database", f"It is PostgreSQL {version}.", f"Move to {OLDEST_POSTGRESQL} or later."
        )
    if encoding != "UTF8":
        yield Finding(
            Verdict.WRONG, "database", f"Its encoding is {encoding}.", "Make one anew with the encoding UTF8."
        )
    apart = abs((timezone.now() - now).total_seconds())
    if apart > APART:
        said = f"Its clock and that of this machine are {apart:.0f} seconds apart."
        yield Finding(Verdict.WRONG, "clock", said, "Let both follow a time server (NTP). Signatures carry the time.")
    else:
        yield Finding(Verdict.OK, "clock", f"as that of the database, PostgreSQL {version}")
    yield from doctor_sessions.findings()


def _replica() -> Finding:
    identifier = "SELECT system_identifier FROM pg_control_system()"
    try:
        with connection.cursor() as primary, connections[REPLICA].cursor() as replica:
            primary.execute(f"SELECT pg_current_wal_flush_lsn(), ({identifier}), current_database()")
            written, *own = primary.fetchone()
            replica.execute(f"SELECT pg_is_in_recovery(), ({identifier}), current_database()")
            is_standby, *its = replica.fetchone()
            if is_standby and its == own:
                replica.execute("SELECT greatest(%s - pg_last_wal_replay_lsn(), 0)", [written])
                return Finding(Verdict.OK, REPLICA, f"a standby of the database, {replica.fetchone()[0]} bytes behind")
    except Error as error:
        mend = "Check DATABASE_REPLICA_URL, and that the standby runs and lets this machine in."
        return Finding(Verdict.WRONG, REPLICA, f"It cannot be read, so the primary answers: {error}".strip(), mend)
    said = "It is no standby: it takes writes of its own." if its == own else "It is a copy of another database."
    mend = "Let DATABASE_REPLICA_URL lead to a streaming replica of this database, or leave it empty."
    return Finding(Verdict.WRONG, REPLICA, said, mend)


def _secrets() -> Iterator[Finding]:
    unreadable, count = [], 0
    for model in apps.get_models():
        for field in (field for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)):
            for pk, value in model._default_manager.exclude(**{field.name: ""}).values_list("pk", field.name):
                count += 1
                if isinstance(value, Undecryptable):
                    unreadable.append(f"{field.verbose_name} of {model._meta.verbose_name} {pk}")
    if unreadable:
        said = f"{len(unreadable)} of {count} cannot be read with the present keys: {', '.join(unreadable[:3])}"
        mend = "Add the former key to FIELD_ENCRYPTION_KEYS or SECRET_KEY_FALLBACKS, or set these secrets anew."
        yield Finding(Verdict.WRONG, "secrets", said, mend)
    else:
        yield Finding(Verdict.OK, "secrets", f"all {count} can be read")
