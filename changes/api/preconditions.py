"""ETags of answers about a change: `"<version>-<digest>"`.

The version tells which state an editor read, so that two editors do not overwrite each other. The digest makes the ETag
differ whenever the answer does: a new reference or group name alters the answer, but not the version.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.http import parse_etags
from rest_framework.request import Request

from changes.exceptions import StaleChange
from changes.models import Change

from .exceptions import PreconditionFailed

_READ = re.compile('"([0-9]{1,9})(?:-[0-9a-f]*)?"')


def etag(change: Change, answer: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(answer, default=str).encode()).hexdigest()[:16]
    return f'"{change.version}-{digest}"'


def is_known(request: Request, tag: str) -> bool:
    """Whether the caller has the answer with this ETag already, as If-None-Match says."""
    header = request.headers.get("If-None-Match")
    if header is None:
        return False
    tags = parse_etags(header)
    return "*" in tags or tag in [known.removeprefix("W/") for known in tags]


def check_if_match(request: Request, change: Change) -> None:
    """Raises StaleChange or PreconditionFailed if If-Match is given and names no current version of the change.

    The caller must hold the row lock.
    """
    header = request.headers.get("If-Match")
    if header is None:
        return
    tags = parse_etags(header)
    read = [int(match[1]) for tag in tags if (match := _READ.fullmatch(tag))]
    if "*" in tags or change.version in read:
        return
    if len(tags) == 1 and read and read[0] < change.version:
        raise StaleChange(change.number, change.version, change.edits_since(read[0]))
    message = f"If-Match names no version of {change.number}: it is version {change.version} now."
    raise PreconditionFailed(message if tags else f"{message} ETags stand in double quotes.")
