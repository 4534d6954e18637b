"""Who changes a record: a user, and the partner's system that they act for, if any.

A web request's user comes from the request. Code that acts for somebody else says so here, and the history of
the record shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from django.http import HttpRequest
from simple_history.models import HistoricalRecords

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

# Who a request is of, signed in or not.
Person: TypeAlias = "User | AnonymousUser"


@dataclass(frozen=True)
class Actor:
    """`system_id` names the external system that `user` acts for; None is a local edit."""

    user: Any = None
    system_id: str | None = None


_current: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextmanager
def acting(user: Person, system_id: str | None = None) -> Iterator[None]:
    """Whatever is saved inside is recorded as done by `user`, for the external system `system_id`."""
    token = _current.set(Actor(user, system_id))
    try:
        yield
    finally:
        _current.reset(token)


def signed_in(request: HttpRequest) -> User:
    """The user of a request that nobody makes without signing in."""
    return cast("User", request.user)


def current() -> Actor:
    """The actor named by `acting()`, else the signed-in user of the web request, else nobody."""
    actor = _current.get()
    if actor is not None:
        return actor
    request = getattr(HistoricalRecords.context, "request", None)
    user = getattr(request, "user", None)
    return Actor(user if user is not None and user.is_authenticated else None)
