"""`each_row` checks every row with the same records, and reports each failing row."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from changes.models import Change

from .factories import ChangeFactory
from .rows import each_row


class Noted:
    """Replaces pytest's subtests, and collects the failures."""

    def __init__(self) -> None:
        self.failed: list[dict[str, object]] = []

    @contextmanager
    def test(self, **values: object) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            self.failed.append(values)


def test_each_row_finds_the_records_as_they_were_and_all_that_fail_are_told(db: None, request) -> None:
    change = ChangeFactory(title="As it was")

    @each_row(("title", "expected"), [("One", 1), ("Two", 2), ("Three", 1), ("Four", 2)])
    def rule(change: Change, title: str, expected: int) -> None:
        assert change.title == Change.objects.get().title == "As it was"
        change.title = title
        change.save()
        assert Change.objects.filter(title=title).count() == expected

    subtests = Noted()
    rule(request=request, subtests=subtests, change=change)
    assert [row["title"] for row in subtests.failed] == ["Two", "Four"]
    assert change.title == Change.objects.get().title == "As it was"


def test_what_really_commits_is_no_table(transactional_db: None, request) -> None:
    @each_row("title", ["One"])
    def rule(title: str) -> None:
        raise AssertionError("It must not be called.")

    with pytest.raises(TypeError, match=r"pytest\.mark\.parametrize"):
        rule(request=request, subtests=Noted())
