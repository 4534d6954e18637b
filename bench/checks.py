"""Checks after a measurement. Without them, a side that skips work would look faster."""

from __future__ import annotations

from collections.abc import Mapping


class CheckFailed(Exception):  # noqa: N818 - says what happened
    """A measured side did not do all of its work."""


def equal(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Raises CheckFailed with each number that differs from the expected one. `what` begins the message."""
    wrong = [f"{name}: {found[name]}, expected {number}" for name, number in expected.items() if found[name] != number]
    if wrong:
        raise CheckFailed(f"{what}: {'; '.join(wrong)}")
