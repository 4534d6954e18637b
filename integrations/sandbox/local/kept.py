"""The passwords, secrets and tokens that `serve` stores for its next start, in a file that only its owner can read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from integrations.transports.signing import new_secret

from .environment import keep_private

# Without characters that are easily confused, such as l and 1.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass
class Kept:
    """The stored values, which `save()` writes to `file`. Passwords by user name; secrets, tokens and
    the passwords of SMAX adapters by system id.
    """

    file: Path
    passwords: dict[str, str] = field(default_factory=dict)
    signing_secrets: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    adapter_passwords: dict[str, str] = field(default_factory=dict)
    simulator_url: str = ""
    has_exchanged: bool = False

    @classmethod
    def of(cls, folder: Path) -> Kept:
        """The values stored in this folder; empty ones at the first start."""
        file = folder / "installation.json"
        return cls(file, **json.loads(file.read_text())) if file.exists() else cls(file)

    def complete(self, users: Iterable[str], systems: Iterable[str], adapters: Iterable[str]) -> None:
        """Creates a password for each user and adapter, and a secret for each system, that has none; saves them."""
        for user in users:
            self.passwords.setdefault(user, new_password())
        for system in systems:
            self.signing_secrets.setdefault(system, new_secret())
        for system in adapters:
            self.adapter_passwords.setdefault(system, new_password())
        self.save()

    def save(self) -> None:
        content = {name: value for name, value in asdict(self).items() if name != "file"}
        keep_private(self.file, json.dumps(content, indent=2) + "\n")


def new_password() -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))
