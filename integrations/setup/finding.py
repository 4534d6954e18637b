"""What `manage.py doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """`subject`: what was looked at. `mend`: what to do, "" if nothing."""

    verdict: Verdict
    subject: str
    said: str
    mend: str = ""
