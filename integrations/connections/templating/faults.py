"""What can be wrong: with a document, which is found when it is written, and with a value, found when it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """Something wrong with a document. Line and column count from 1. `path` names the key, as in `poll.every`."""

    line: int
    column: int
    path: str
    message: str

    @property
    def told(self) -> str:
        """The message, behind the key that it is about."""
        return f"{self.path}: {self.message}" if self.path else self.message


class FaultyDocument(ValueError):  # noqa: N818
    """The document cannot be used. `faults` has all of them, in the order of their lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        # A step that aliases repeat has its faults once, by the path where it stands.
        places: dict[tuple[int, int, str], Fault] = {}
        for one in faults:
            places.setdefault((one.line, one.column, one.message), one)
        self.faults = sorted(places.values())
        super().__init__("\n".join(f"{one.line}:{one.column}: {one.told}" for one in self.faults))


class EvaluationFailed(Exception):  # noqa: N818
    """A template has no value here. `path` names step, key and place. The message never quotes a secret."""

    def __init__(self, path: str, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(f"{path}: {message}" if path else message)


class SecretMissing(EvaluationFailed):
    """A template names a secret that nobody has written."""
