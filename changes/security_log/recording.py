"""Records security events, in the transaction of their cause.

`record()` is for what was done: it commits with its cause, or not at all. `refuse()` is for what was refused: it is
called after the refused work was rolled back, so the refusal is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.utils import timezone

from changes.actor import Actor, current, current_request
from changes.models.installation.security_event import PendingEvent, SecurityEvent
from changes.protection.addresses import counted
from changes.texts.storable import storable

from . import floods
from .chain import seal_after_commit
from .kinds import KINDS

ACCOUNT_TYPE = "auth.user"
LONGEST_VALUE = 300
MOST_VALUES = 100


@dataclass(frozen=True)
class Subject:
    """What an event is about. `text` is the name that people read."""

    type: str
    key: str
    text: str

    @classmethod
    def of(cls, row: Model, text: str | None = None) -> Subject:
        """A stored record. Not for one whose key is a secret."""
        return cls(row._meta.label_lower, str(row.pk), str(row) if text is None else text)


NOTHING = Subject("", "", "")


@dataclass(frozen=True)
class Caller:
    """How somebody authenticated at the API: the name of the token, and the partner's systems that it speaks for."""

    token: str = ""
    system_id: str = ""


@dataclass
class Hooks:
    """`caller` names the caller by `request.auth` of an API call. The exchange replaces it: changes/extensions.py."""

    caller: Callable[[Any], Caller] = lambda auth: Caller()


hooks = Hooks()
_is_silent: ContextVar[bool] = ContextVar("is_silent", default=False)
_named: ContextVar[str] = ContextVar("named", default="")


@contextmanager
def unrecorded() -> Iterator[None]:
    """Records nothing inside. Only for what follows by itself from something that is recorded, or from an upgrade."""
    token = _is_silent.set(True)
    try:
        yield
    finally:
        _is_silent.reset(token)


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Records all inside as done by something that is no user here, such as the OpenID provider."""
    token = _named.set(name)
    try:
        yield
    finally:
        _named.reset(token)


def record(
    kind: str, about: Subject = NOTHING, details: Mapping[str, object] | None = None, actor: Actor | None = None
) -> None:
    """Records that something was done. `actor`: by default who is signed in, else `system` outside of web requests.

    Raises KeyError for an unknown kind. `details` must not contain a secret.
    """
    if _is_silent.get():
        return
    PendingEvent.objects.create(fields=_fields(kind, about, details or {}, actor))
    seal_after_commit()


def refuse(kind: str, about: Subject, details: Mapping[str, object] | None = None, *, is_repeated: bool = True) -> None:
    """Records a refusal within the bounds of floods.py. Call it outside of the refused transaction.

    `is_repeated`: whether the same refusal is counted instead of recorded each time.
    """
    fields = _fields(kind, about, details or {}, None)
    who = str(fields["actor_id"] or counted(str(fields["address"])))
    is_of_account = about.type == ACCOUNT_TYPE and about.key
    budget = floods.KNOWN if fields["actor_id"] else floods.ACCOUNT if is_of_account else floods.STRANGER
    if is_repeated:
        count = floods.times(kind, who, about.text)
        if not count:
            return
        if count > 1:
            fields["details"]["times"] = count
    if not floods.is_within_budget(who, budget):
        if not floods.is_first_beyond(budget):
            return
        fields = _fields("refusals_not_listed", NOTHING, {}, Actor())
    PendingEvent.objects.create(fields=fields)
    seal_after_commit()


def _fields(kind: str, about: Subject, details: Mapping[str, object], actor: Actor | None) -> dict[str, Any]:
    """The fields of an entry, without its place in the chain."""
    request = current_request()
    actor = actor or current()
    caller = hooks.caller(getattr(request, "auth", None)) if request is not None else Caller()
    name = _named.get() or (actor.user.get_username() if actor.user else "")
    if not name and request is None:
        name = SecurityEvent.SYSTEM
    return {
        "at": timezone.now().isoformat(),
        "kind": KINDS[kind].name,
        "actor_id": actor.user.pk if actor.user and not _named.get() else None,
        "actor_name": _text(name, 150),
        "address": _text(request.META.get("REMOTE_ADDR", "") if request is not None else "", 45),
        "object_type": _text(about.type, 60),
        "object_id": _text(about.key, 64),
        "object_text": _text(about.text, 300),
        "details": _plain(details),
        "system_id": _text(actor.system_id or caller.system_id, 100),
        "token": _text(caller.token, 40),
    }


def _plain(value: object) -> Any:
    """The value as JSON that the database returns exactly as it was stored."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {_text(name, 100): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in list(value)[:MOST_VALUES]]
    return _text(value, LONGEST_VALUE)


def _text(value: object, limit: int) -> str:
    text = storable(str(value))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
