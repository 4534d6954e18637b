"""What must be true after a measurement, or it counts for nothing: no figure by leaving work out."""

from __future__ import annotations

from collections.abc import Mapping


class CheckFailed(Exception):  # noqa: N818 - says what happened
    """A measurement did not do what it was measured for."""


def equal(what: str, found: Mapping[str, int], expected: Mapping[str, int]) -> None:
    """Raises CheckFailed, naming each number that is another one than expected."""
    wrong = [f"{name}: {found[name]}, expected {number}" for name, number in expected.items() if found[name] != number]
    if wrong:
        raise CheckFailed(f"{what}: {'; '.join(wrong)}")
