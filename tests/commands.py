"""Runs manage.py as a separate process on the database of the test. The test needs `django_db(transaction=True)`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from django.db import connection

from . import services, warm
from .processes import Process


def database_url() -> str:
    """The DATABASE_URL of the test's own database."""
    name = str(connection.settings_dict["NAME"])
    return services.postgresql_url(name) if connection.vendor == "postgresql" else f"sqlite:///{name}"


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return warm.manage(arguments, {**os.environ, "DATABASE_URL": database_url(), **environment})


def start_manage(log: Path, *arguments: str, **environment: str) -> Process:
    """Starts a command. The caller must end it."""
    return warm.start(arguments, {**os.environ, "DATABASE_URL": database_url(), **environment}, log)
