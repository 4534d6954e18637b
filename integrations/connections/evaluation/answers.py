"""An answer as templates know it: `status`, `headers` and `body`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from integrations.transports.base import Response

from ..templating.faults import EvaluationFailed
from ..templating.values import Record, Unusable, wrapped

_CHARSET = re.compile(r"charset=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
QUOTED = 300
TOO_LONG = "the answer is too long to be read"


def beginning(response: Response) -> str:
    """The start of the answer in one line, to quote it."""
    text = response.body[: 4 * QUOTED].decode(errors="replace").replace("\x00", "\ufffd")
    return re.sub(r"\s+", " ", text).strip()[:QUOTED]


def head_of_answer(response: Response) -> dict[str, object]:
    """The names without `body`, of which an answer that is too long has none."""
    headers = {name.lower(): wrapped(value) for name, value in response.headers.items()}
    return {"status": response.status, "headers": Record(headers)}


def names_of_answer(response: Response, path: str) -> dict[str, object]:
    """The names. Raises EvaluationFailed for a body that cannot be read."""
    if not response.is_complete:
        raise EvaluationFailed(path, TOO_LONG)
    return {**head_of_answer(response), "body": body_of(response.headers, response.body, path)}


def body_of(headers: Mapping[str, str], body: bytes, path: str) -> object:
    """Parsed JSON, or the text if it is none. Raises EvaluationFailed for JSON that is nested too deeply."""
    described = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    charset = _CHARSET.search(described)
    try:
        text = body.decode(charset[1] if charset else "utf-8", errors="replace").removeprefix("\ufeff")
    except (LookupError, ValueError):  # a charset that Python does not know
        text = body.decode(errors="replace")
    if described.partition(";")[0].strip().lower().endswith("json") or text.lstrip()[:1] in ("{", "["):
        try:
            return wrapped(json.loads(text, parse_constant=_refuse_constant))
        except (Unusable, RecursionError):
            raise EvaluationFailed(path, "the answer is nested too deeply") from None
        except ValueError:
            return wrapped(text)
    return wrapped(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
