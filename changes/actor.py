"""The actor of a change: a user and, for a partner's operation, the external system that the user acts for.

In a web request the actor is the signed-in user. Code that acts for somebody else names them with `acting()`.
The history of a record shows the actor of each save.
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

# The user of a request, signed in or not.
Person: TypeAlias = "User | AnonymousUser"


@dataclass(frozen=True)
class Actor:
    """`system_id` names the external system that `user` acts for; None means a local edit."""

    user: Any = None
    system_id: str | None = None


_current: ContextVar[Actor | None] = ContextVar("actor", default=None)


@contextmanager
def acting(user: Person, system_id: str | None = None) -> Iterator[None]:
    """Records all saves inside as done by `user`, for the external system `system_id`."""
    token = _current.set(Actor(user, system_id))
    try:
        yield
    finally:
        _current.reset(token)


def signed_in(request: HttpRequest) -> User:
    """The user of a request, for views that only a signed-in user can reach. Checks nothing itself."""
    return cast("User", request.user)


def current() -> Actor:
    """The actor named by `acting()`, else the signed-in user of the web request, else an `Actor` without a user."""
    actor = _current.get()
    if actor is not None:
        return actor
    user = getattr(current_request(), "user", None)
    return Actor(user if user is not None and user.is_authenticated else None)


def current_request() -> HttpRequest | None:
    """The web request that is being answered; None in a command, a worker, or a shell."""
    return getattr(HistoricalRecords.context, "request", None)
