"""An answer as templates know it: `status`, `headers` and `body`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from email.message import Message

from integrations.transports.base import Response

from .faults import EvaluationFailed
from .values import Record, Unusable, wrapped

QUOTED = 300


def beginning(response: Response) -> str:
    """The start of the answer in one line, to quote it."""
    return re.sub(r"\s+", " ", response.body[: 4 * QUOTED].decode(errors="replace")).strip()[:QUOTED]


def names_of_answer(response: Response, path: str) -> dict[str, object]:
    """The names. Raises EvaluationFailed for a body that cannot be taken."""
    headers = Record({name.lower(): value for name, value in response.headers.items()})
    if not response.is_complete:
        raise EvaluationFailed(path, "the answer is too long to be read")
    return {"status": response.status, "headers": headers, "body": body_of(response.headers, response.body, path)}


def body_of(headers: Mapping[str, str], body: bytes, path: str) -> object:
    """Parsed JSON, or the text if it is none. Raises EvaluationFailed for JSON that is nested too deeply."""
    described = Message()
    described["Content-Type"] = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    try:
        text = body.decode(described.get_content_charset("utf-8"), errors="replace").removeprefix("\ufeff")
    except LookupError:  # a charset that Python does not know
        text = body.decode(errors="replace")
    if described.get_content_subtype().endswith("json") or text.lstrip()[:1] in ("{", "["):
        try:
            return wrapped(json.loads(text, parse_constant=_refuse_constant))
        except (Unusable, RecursionError):
            raise EvaluationFailed(path, "the answer is nested too deeply") from None
        except ValueError:
            return wrapped(text)
    return wrapped(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
