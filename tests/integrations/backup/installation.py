"""An installation of its own, with another database and folder than the test's."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path
from typing import Any

from django.db import connection

from tests import services
from tests.commands import manage


class Installation:
    """An empty one: no table, no attachment. It has the keys of the test's environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        if connection.vendor == "postgresql":
            self.name = f"elsewhere_{secrets.token_hex(6)}"
            services.create_postgresql_database(self.name)
            url = services.postgresql_url(self.name)
        else:
            self.name = str(folder / "db.sqlite3")
            url = f"sqlite:///{self.name}"
        self.media = folder / "media"
        self.environment = {"DATABASE_URL": url, "VAR_DIR": str(folder), "MEDIA_ROOT": str(self.media)}

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return manage(*arguments, **self.environment, **environment)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The rows of a table; those of the test's database by `rows_of()`."""
        other = connection.copy("elsewhere")
        other.settings_dict = {**connection.settings_dict, "NAME": self.name}
        try:
            return rows_of(table, other)
        finally:
            other.close()

    def files(self) -> dict[str, bytes]:
        return files_in(self.media)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows_of(table: str, database: Any = connection) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608
        return cursor.fetchall()
