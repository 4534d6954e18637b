"""How something stands, in a word and a sentence. The tone picks a colour and a sign; the words say all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

OK, WAIT, BAD, BUSY, IDLE = "ok", "wait", "bad", "busy", "idle"


@dataclass(frozen=True)
class State:
    """`short` fits a table; `detail` says why; `next_try_at` when it is tried again, where that is known."""

    tone: str
    short: str
    detail: str = ""
    next_try_at: datetime | None = None


def sentence(text: str) -> str:
    text = text.strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
