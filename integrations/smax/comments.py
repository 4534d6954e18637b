"""The comments that an adapter sends: their `CreatedTime`, and by it which ones a change has already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db.models import QuerySet

from changes.models import Change, Comment
from integrations.models import ExternalSystem, SmaxComment

CREATED_TIME_MAX_LENGTH = 64
_NUMBER = re.compile(r"-?\d{1,19}(\.\d{1,19})?", re.ASCII)


def created_time_of(value: object) -> Any:
    """As it was sent: a number, a quoted number, or a date."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    if not isinstance(value, str) or len(value) > CREATED_TIME_MAX_LENGTH:
        raise ValueError("Give a time, as a number of milliseconds or as a text.")
    return value or None


def added_once(system: ExternalSystem, comment: Mapping[str, Any], created_time: Any) -> Mapping[str, Any]:
    """The comment of an `IncomingRequest`, which a change that has it already does not get again."""
    if created_time is None:
        return comment
    return {
        **comment,
        "unless": partial(_has_comment, system, comment["body"], created_time),
        "then": partial(_keep_time, created_time),
    }


def _has_comment(system: ExternalSystem, body: str, created_time: Any, change: Change) -> bool:
    return same_comments(system, change, body, created_time).exists()


def same_comments(system: ExternalSystem, change: Change, body: object, created_time: Any) -> QuerySet[Comment]:
    """The comments of the system's own with this body and this `CreatedTime`, in whatever form that was sent."""
    own = Comment.objects.filter(change=change, source_system=system.system_id, body=body)
    if created_time is None:
        return own.filter(smax=None)
    return own.filter(smax__created_time__in=_forms_of(created_time))


def _forms_of(created_time: Any) -> list[Any]:
    """Adapters quote a number at one time, and not at another. Some write whole numbers as floats."""
    text = str(created_time)
    if isinstance(created_time, str) and not _NUMBER.fullmatch(text):
        return [text]
    number = float(text)
    forms: list[Any] = [created_time, text, number, str(number)]
    if number.is_integer():
        whole = int(text) if text.removeprefix("-").isdecimal() else int(number)
        forms += [whole, str(whole)]
    return forms


def _keep_time(created_time: Any, comment: Comment) -> None:
    SmaxComment.objects.create(comment=comment, created_time=created_time)
