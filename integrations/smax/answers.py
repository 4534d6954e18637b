"""The envelopes of the face's answers, and its errors: each has a `meta` with `errorDetails`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework.exceptions import APIException, Throttled
from rest_framework.response import Response

from changes.api.problems import ProblemFormatter, ProblemHandler
from changes.protection.turns import TooBusy

OK, FAILED = "OK", "FAILED"
# Seconds after which a sign-in may be repeated that found too many others under way.
BUSY_SECONDS = 2


def error_details(status: int, message: str) -> dict[str, Any]:
    return {"httpStatus": int(status), "message": message}


def failed(status: int, message: str, milliseconds: int = 0) -> dict[str, Any]:
    """The body of any error."""
    whole = found((), 0, milliseconds)
    whole["meta"] |= {"completion_status": FAILED, "errorDetails": error_details(status, message)}
    return whole


def found(entities: Sequence[Mapping[str, Any]], total: int, milliseconds: int = 0) -> dict[str, Any]:
    """The body of a read."""
    meta = {"completion_status": OK, "total_count": total, "errorDetails": None, "query_time": milliseconds}
    return {"entities": [*entities], "meta": meta}


# --- Errors ---


def message_of(error: APIException, names: Mapping[str, str] | None = None) -> str:
    """What is wrong, in one text. `names`: how the caller names a field of ours, by its path."""
    context: Any = {}
    said = ProblemFormatter(error, context, error).run()
    errors = said["errors"]
    if not any(each["attr"] for each in errors):
        return str(said["detail"])
    return " ".join(f"{_named(each['attr'], names or {})}: {each['detail']}" for each in errors if each["attr"])


def _named(path: str, names: Mapping[str, str]) -> str:
    """The path as the adapter knows it: `properties.title` is its DisplayLabel."""
    whole, _, rest = path.partition(".")
    return f"Comments.{rest.replace('body', 'Body')}".rstrip(".") if whole == "comments" else names.get(path, path)


class FaceHandler(ProblemHandler):
    """Answers any error of a view of the face."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, TooBusy):
            return Throttled(BUSY_SECONDS)
        return super().convert_known_exceptions(exc)

    def format_exception(self, exc: APIException) -> dict[str, Any]:
        return failed(exc.status_code, message_of(exc), self.context["view"].milliseconds)  # type: ignore[attr-defined]

    def get_response(self, exc: APIException, data: dict[str, Any]) -> Response:
        response = super().get_response(exc, data)
        response.content_type = "application/json"
        return response


def exception_handler(error: Exception, context: Any) -> Response | None:
    return FaceHandler(error, context).run()


def retry_after(errors: Sequence[APIException]) -> dict[str, str]:
    """The header for a request of which some part may be sent again later."""
    waits = [wait for error in errors if (wait := getattr(error, "wait", None))]
    return {"Retry-After": str(math.ceil(max(waits)))} if waits else {}
