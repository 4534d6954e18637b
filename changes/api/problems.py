"""Every error of the API as application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import (
    ValidationError as DjangoValidationError,
)
from django.db import Error as DatabaseError
from django.http import Http404
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler, exception_handler
from drf_standardized_errors.types import Error
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.fields import get_error_detail
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.settings import api_settings

from changes.conflicts import is_unavailable
from changes.exceptions import (
    ChangeRefused,
    ConditionsUnmet,
    FieldEdit,
    MayNotApprove,
    NoTransition,
    ReadOnlyChange,
    StaleChange,
)
from changes.models import Change
from changes.texts.timestamps import timestamp

from .exceptions import ConditionsNotMet, Conflict, Forbidden, PreconditionFailed, Problem, TooLarge, Unavailable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
MOST_CHARACTERS = 2000
# The same text for what does not exist and for what the caller may not see, so that it reveals nothing.
NOT_FOUND = "There is nothing at this address, or you may not see it. Addresses end with a slash."

__all__ = ["NOT_FOUND", "ProblemFormatter", "ProblemHandler", "as_api_exception", "exception_handler", "told"]


# --- From an error of a change to an API error ---


def as_api_exception(error: Exception, prefix: str = "", if_match: bool = False) -> Exception:
    """The API error for an error raised by a change or by Django. Returns any other error unaltered.

    `prefix` is put before the name of each field, as in `properties.`. `if_match` tells that the caller sent If-Match:
    a stale version is then 412 instead of 409.
    """
    if isinstance(error, ChangeRefused):
        problem = _refusal(error, prefix, if_match)
        problem.refusal = error.kept
        return problem
    if isinstance(error, DjangoValidationError):
        return _invalid(error, prefix)
    if isinstance(error, Http404):
        return NotFound(NOT_FOUND)
    if isinstance(error, RequestDataTooBig):
        return TooLarge("The request is too large.")
    if isinstance(error, SuspiciousOperation):
        return Problem("The request cannot be read.")
    return error


def _refusal(error: ChangeRefused, prefix: str, if_match: bool) -> Problem:
    summary = error.for_programs
    if isinstance(error, ConditionsUnmet):
        unmet: dict[str, list[str]] = {}
        for item in error.unmet:
            unmet.setdefault(prefix + item.field, []).append(item.message)
        return ConditionsNotMet(summary, errors=unmet)
    if isinstance(error, StaleChange):
        edits = {prefix + field: _describe(field, edit) for field, edit in error.edits.items()}
        kind = PreconditionFailed if if_match else Conflict
        return kind(summary, "stale", edits or {prefix + error.field: summary})
    if isinstance(error, MayNotApprove):
        return Forbidden(summary, errors={prefix + error.field: summary})
    if isinstance(error, ReadOnlyChange):
        return Conflict(summary, "read_only", {prefix + field: summary for field in error.fields})
    code = "no_transition" if isinstance(error, NoTransition) else "not_possible"
    return Conflict(summary, code, {prefix + error.field: summary})


def _describe(field: str, edit: FieldEdit) -> str:
    who = f" by {edit.user}" if edit.user else ""
    when = f" at {timestamp(edit.at)}" if edit.at else ""
    return f"Changed{who}{when} from {_shown(field, edit.old)} to {_shown(field, edit.new)}."


def _shown(field: str, value: object) -> str:
    if value in (None, ""):
        return "nothing"
    related = Change._meta.get_field(field).related_model
    if related and isinstance(value, int):
        # The history stores keys; readers know names.
        value = related._default_manager.filter(pk=value).first() or value
    text = timestamp(value) if isinstance(value, datetime) else str(value)
    return f"“{text[:200]}{'…' if len(text) > 200 else ''}”"


def _invalid(error: DjangoValidationError, prefix: str) -> APIException:
    detail = get_error_detail(error)
    if not isinstance(detail, dict):
        detail = {NON_FIELD_ERRORS: detail}
    whole = prefix.rstrip(".") or api_settings.NON_FIELD_ERRORS_KEY
    detail = {whole if field == NON_FIELD_ERRORS else prefix + field: texts for field, texts in detail.items()}
    first = next(iter(detail.values()))[0]
    if first.code == TooLarge.default_code:
        return TooLarge(str(first), errors={field: list(map(str, texts)) for field, texts in detail.items()})
    return ValidationError(detail)


# --- From an API error to the answer ---


class ProblemHandler(ExceptionHandler):
    """Turns any error of a view into an answer. Named in the settings."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        request = self.context.get("request")
        if_match = request is not None and "If-Match" in request.headers
        return super().convert_known_exceptions(as_api_exception(exc, if_match=if_match))

    def should_not_handle(self, exc: Exception) -> bool:
        """Leaves conflicts and an unavailable database to the middleware, which retries the request or answers 503."""
        return (isinstance(exc, DatabaseError) and is_unavailable(exc)) or super().should_not_handle(exc)

    def convert_unhandled_exceptions(self, exc: Exception) -> APIException:
        if not isinstance(exc, APIException):
            # `report_exception` logs it.
            return APIException("The server failed. The administrator's log says more.")
        return exc

    def report_exception(self, exc: APIException, response: Response) -> None:
        """Logs server errors. An unavailable database is only a warning."""
        if isinstance(exc, Unavailable):
            request = self.context.get("request")
            logger.warning("%s is answered with 503: %s", request and request.path, self.exc.__cause__ or exc)
        else:
            super().report_exception(exc, response)

    def get_headers(self, exc: APIException) -> dict[str, str]:
        headers = super().get_headers(exc)
        if wait := getattr(exc, "wait", None):
            # Whole seconds, rounded up: an earlier retry would get the same answer.
            headers["Retry-After"] = str(math.ceil(wait))
        return headers

    def get_response(self, exc: APIException, data: dict[str, Any]) -> Response:
        request = self.context.get("request")
        if request is not None:
            # Problems are JSON even if the view answers in YAML or HTML.
            request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        response = super().get_response(exc, data)
        response.content_type = MEDIA_TYPE
        return response


class ProblemFormatter(ExceptionFormatter):
    """Formats the body of a problem. Named in the settings."""

    def get_errors(self) -> list[Error]:
        return list(islice(_flatten(self.exc.detail, ""), MOST_ERRORS))

    def format_error_response(self, error_response: Any) -> dict[str, Any]:
        status = HTTPStatus(self.exc.status_code)
        errors = error_response.errors
        detail = getattr(self.exc, "summary", None)
        if detail is None:
            detail = _summary(errors)
        return {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": _quotable(str(detail)),
            "errors": [
                {"code": error.code, "detail": _quotable(error.detail), "attr": _quotable(error.attr)}
                for error in errors
            ],
        }


def _summary(errors: list[Error]) -> str:
    if len(errors) == 1:
        first = errors[0]
        return f"{first.attr}: {first.detail}" if first.attr else first.detail
    return f"The request has {len(errors)} errors: see `errors`."


def _flatten(detail: object, path: str) -> Iterator[Error]:
    """Yields the errors one by one, so that the caller can stop early. The library would collect all of them first."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            own = "" if key == api_settings.NON_FIELD_ERRORS_KEY else str(key)
            yield from _flatten(value, f"{path}.{own}".strip("."))
    elif isinstance(detail, list | tuple):
        for index, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            yield from _flatten(value, f"{path}.{index}".strip(".") if nested else path)
    else:
        yield Error(getattr(detail, "code", "invalid"), str(detail), path or None)


def told(detail: object) -> list[str]:
    """The errors as texts, each with the path of its field, as in `properties.title: Give a text.`"""
    errors = islice(_flatten(detail, ""), MOST_ERRORS)
    return [f"{error.attr}: {error.detail}" if error.attr else error.detail for error in errors]


def _quotable(text: str | None) -> str | None:
    """A text from the request, made safe for an answer: long texts are cut, invalid characters escaped."""
    if not text:
        return text
    cut = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return re.sub("[\x00\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", cut)
