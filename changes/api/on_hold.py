"""A restored copy takes no calls of partners until somebody resumes. A partner may call it by mistake."""

from __future__ import annotations

from changes.models import restored_copy

from .exceptions import Unavailable

TOLD = "This is a restored copy of the service desk, which takes no calls yet. Nothing was done: send it again later."


class OnHold(Unavailable):
    default_code = "restored_copy"
    # Seconds. Whoever restored it decides soon, and a partner's delivery goes on by itself then.
    wait = 300

    def __init__(self) -> None:
        super().__init__(TOLD, self.default_code)


def refuse_calls() -> None:
    """Raises OnHold if this is a restored copy that waits."""
    if restored_copy():
        raise OnHold
