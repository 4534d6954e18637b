"""A state as a word and a sentence. The tone only chooses a colour and a sign; the words carry the whole meaning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

OK, WAIT, BAD, BUSY, IDLE = "ok", "wait", "bad", "busy", "idle"


@dataclass(frozen=True)
class State:
    """`short`: fits a table. `detail`: the reason, "" if none. `next_try_at`: the next try, None if not known."""

    tone: str
    short: str
    detail: str = ""
    next_try_at: datetime | None = None


def sentence(text: str) -> str:
    """The text with a capital at its start and a single full stop at its end; an empty text stays empty."""
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def ended(text: str) -> str:
    """What somebody wrote, unaltered, with an end; an empty text stays empty."""
    return f"{text}." if text and text[-1] not in ".!?…" else text
