"""What an installation on one machine keeps for its next start: passwords, secrets and tokens, for its owner only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from integrations.transports.signing import new_secret

from .environment import keep_private

# Without the letters and digits that are easily taken for one another.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass
class Kept:
    """`file` holds the rest. Passwords are by user name, secrets and tokens by system id."""

    file: Path
    passwords: dict[str, str] = field(default_factory=dict)
    signing_secrets: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    simulator_url: str = ""
    has_exchanged: bool = False

    @classmethod
    def of(cls, folder: Path) -> Kept:
        """What is kept in this folder; nothing at the first start."""
        file = folder / "installation.json"
        return cls(file, **json.loads(file.read_text())) if file.exists() else cls(file)

    def complete(self, users: Iterable[str], systems: Iterable[str]) -> None:
        """Makes a password or secret for each of these that has none, and saves."""
        for user in users:
            self.passwords.setdefault(user, _new_password())
        for system in systems:
            self.signing_secrets.setdefault(system, new_secret())
        self.save()

    def save(self) -> None:
        content = {name: value for name, value in asdict(self).items() if name != "file"}
        keep_private(self.file, json.dumps(content, indent=2) + "\n")


def _new_password() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))
