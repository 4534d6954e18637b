"""API errors that Django REST framework does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail

from changes.conflicts import RETRY_AFTER, what_to_do


class Problem(APIException):
    """An error with a summary, and one entry for each field it is about.

    `errors` maps the path of a field to what is wrong with it: a message, or several.
    `refusal` is the `kept` of the ChangeRefused that it tells, if it tells one.
    """

    refusal: Mapping[str, Any] | None = None

    status_code: int = status.HTTP_400_BAD_REQUEST
    default_code = "invalid"

    def __init__(
        self, summary: str, code: str | None = None, errors: Mapping[str, str | Sequence[str]] | None = None
    ) -> None:
        self.summary = summary
        code = code or self.default_code
        self.detail: Any = ErrorDetail(summary, code=code)
        if errors:
            self.detail = {
                attr: [ErrorDetail(text, code=code) for text in ([texts] if isinstance(texts, str) else texts)]
                for attr, texts in errors.items()
            }


class Forbidden(Problem):
    status_code = status.HTTP_403_FORBIDDEN
    default_code = "permission_denied"


class Conflict(Problem):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class LengthRequired(Problem):
    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"


class PreconditionFailed(Problem):
    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"


class TooLarge(Problem):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class ConditionsNotMet(Problem):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "unmet_condition"


class Unavailable(Problem):
    """Something that is needed, mostly the database, is unavailable. Nothing was saved."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "service_unavailable"
    wait = RETRY_AFTER

    def __init__(self, summary: str = "", code: str | None = None) -> None:
        super().__init__(summary or what_to_do(), code)
