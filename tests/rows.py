"""Checks a rule over a table in one test, so that expensive fixtures are made once and not for every row."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.cache import cache
from django.db import models, transaction

Test = Callable[..., None]


def each_row(names: str | tuple[str, ...], table: Iterable[Any]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but with the fixtures made once for all rows.

    Database changes of a row are rolled back after it, and model instances among the fixtures are restored. Each
    failing row is reported with its values. Raises TypeError in a test of real transactions.
    """
    is_one = isinstance(names, str) and "," not in names
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    rows = [[row] if is_one else [*row] for row in table]

    def decorate(test: Test) -> Test:
        def over_all_rows(
            *bound: Any, request: pytest.FixtureRequest, subtests: pytest.Subtests, **fixtures: Any
        ) -> None:
            if "request" in own:
                fixtures["request"] = request
            if "subtests" in own:
                fixtures["subtests"] = subtests
            has_database = _has_database(request)
            for row in rows:
                values = dict(zip(wanted, row, strict=True))
                cache.clear()
                with subtests.test(**values), transaction.atomic() if has_database else nullcontext():
                    test(*bound, **{name: _own(value) for name, value in fixtures.items()}, **values)
                    if has_database:
                        transaction.set_rollback(True)

        own = inspect.signature(test).parameters
        needed = [parameter for name, parameter in own.items() if name not in wanted]
        added = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("request", "subtests")
            if name not in own
        ]
        over_all_rows.__name__, over_all_rows.__doc__ = test.__name__, test.__doc__
        over_all_rows.__module__, over_all_rows.__qualname__ = test.__module__, test.__qualname__
        over_all_rows.__signature__ = inspect.Signature([*needed, *added])  # type: ignore[attr-defined]
        over_all_rows.pytestmark = getattr(test, "pytestmark", [])  # type: ignore[attr-defined]
        return over_all_rows

    return decorate


def _has_database(request: pytest.FixtureRequest) -> bool:
    marker = request.node.get_closest_marker("django_db")
    if (marker and marker.kwargs.get("transaction")) or {"transactional_db", "live_server"} & {*request.fixturenames}:
        raise TypeError("What really commits is not undone after each row: use pytest.mark.parametrize.")
    return marker is not None or "db" in request.fixturenames


def _own(value: Any) -> Any:
    return copy.deepcopy(value) if isinstance(value, models.Model) else value
