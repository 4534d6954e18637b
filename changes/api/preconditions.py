"""ETags: the version of a change, so that two editors do not overwrite each other."""

from __future__ import annotations

import re
from typing import Any

from django.utils.http import parse_etags

from changes.exceptions import StaleChange
from changes.models import Change

from .exceptions import PreconditionFailed


def etag(change: Change) -> str:
    return f'"{change.version}"'


def is_known(request: Any, change: Change) -> bool:
    """Whether the caller has this version already, as If-None-Match says."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    tags = parse_etags(header)
    return "*" in tags or etag(change) in [tag.removeprefix("W/") for tag in tags]


def check_if_match(request: Any, change: Change) -> None:
    """Raises unless the change is as the caller read it, or the caller does not say. The row must be locked."""
    header = request.headers.get("If-Match")
    if header is None:
        return
    tags = parse_etags(header)
    if "*" in tags or etag(change) in tags:
        return
    read = re.fullmatch('"([0-9]{1,9})"', tags[0]) if len(tags) == 1 else None
    if read and int(read[1]) < change.version:
        raise StaleChange(change.number, change.version, change.edits_since(int(read[1])))
    message = f"If-Match names no version of {change.number}: its ETag now is {etag(change)}."
    raise PreconditionFailed(message if tags else f"{message} ETags stand in double quotes.")
