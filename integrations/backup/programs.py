"""PostgreSQL's own programs, which dump and restore a database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient

from .manifest import BackupRefused

# Where the packages of Debian and of Red Hat put the programs of a version.
FOLDERS = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin")


def program(name: str, least: int) -> str:
    """The path of the program, of the server's version `least` or a newer one. Raises BackupRefused without one."""
    found = _found(name, least)
    mend = f"Install PostgreSQL's client programs of version {least} or newer, or name their folder in POSTGRESQL_BIN."
    if found is None:
        raise BackupRefused(f"{name} is missing. {mend}")
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    version = re.search(r"\) (\d+)", said)
    if version is None or int(version[1]) < least:
        own = version[1] if version else "an unknown one"
        raise BackupRefused(f"{found} is of version {own}, the server of {least}. {mend}")
    return found


def _found(name: str, major: int) -> str | None:
    if settings.POSTGRESQL_BIN:
        return shutil.which(name, path=settings.POSTGRESQL_BIN)
    usual = [Path(folder.format(major)) / name for folder in FOLDERS]
    return next((str(path) for path in usual if path.is_file()), None) or shutil.which(name)


def server_version() -> int:
    connection.ensure_connection()
    return int(connection.pg_version) // 10_000  # type: ignore[attr-defined]


def environment() -> dict[str, str]:
    """The variables by which the programs find the database. Its password is in none of their arguments."""
    parameters = connection.settings_dict
    _, own = DatabaseClient.settings_to_cmd_args_env({**parameters, "OPTIONS": _options(parameters)}, [])
    named = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
    # DATABASE_URL may name the server in its parameters too, as in ?host=/run/postgresql.
    given = {key: value for key, value in parameters.items() if value}
    given = {key.upper(): value for key, value in (parameters.get("OPTIONS") or {}).items()} | given
    values = {name: str(given[key]) for name, key in named.items() if key in given}
    return {**os.environ, **values, **(own or {})}


def _options(parameters: dict[str, object]) -> dict[str, object]:
    options = parameters.get("OPTIONS")
    known = ("sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "service")
    return {name: options[name] for name in known if name in options} if isinstance(options, dict) else {}


def failed(name: str, code: int, stderr: bytes) -> BackupRefused:
    text = stderr.decode(errors="replace").strip()
    return BackupRefused(f"{name} failed: {text[-1000:] or f'it ended with {code}, and said nothing.'}")
