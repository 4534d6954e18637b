"""What a backup says about itself. It never contains a key or a secret, only fingerprints of keys."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1


class BackupRefused(Exception):  # noqa: N818 - as in changes.exceptions
    """Why a backup cannot be taken or restored, and what to do. Nothing was altered."""


@dataclass
class Manifest:
    """`kind`: of the database. `parts`: size and SHA-256 of each other member of the file. `counts`: the rows
    of each table.

    `keys`: fingerprints of the keys of the environment. `secrets`: what is encrypted, with the fingerprint of the key
    that reads it; "" if none did. `missing`: attachments whose file was not there. `altered`: whose file has another
    checksum than its row.
    """

    version: str
    taken_at: str
    kind: str
    database_version: str
    migrations: list[str]
    keys: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    parts: dict[str, tuple[int, str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    format: int = FORMAT

    def as_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode()

    @classmethod
    def read(cls, content: bytes) -> Manifest:
        """Raises BackupRefused for what is no manifest of this format."""
        try:
            values: dict[str, Any] = json.loads(content)
            written = values["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise BackupRefused(f"The manifest of the backup cannot be read: {error}") from error
        if written != FORMAT:
            raise BackupRefused(
                f"The backup has the format {written}, and this program reads the format {FORMAT}. "
                "Restore it with the version that wrote it."
            )
        try:
            manifest = cls(**values)
        except TypeError as error:
            raise BackupRefused(f"The manifest of the backup cannot be read: {error}") from error
        manifest.parts = {name: (int(size), str(digest)) for name, (size, digest) in manifest.parts.items()}
        return manifest
