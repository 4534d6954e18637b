"""Pages of a list by keyset: a cursor names the row that a page starts after, so nothing is skipped or repeated.

The library's own cursor pages compare one column and count ties, up to a thousand of them; here the primary key
decides between ties.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Case, DateTimeField, F, Q, Value, When
from django.db.models.functions import Coalesce
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from changes.choices import Priority

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
_BIGGEST_KEY = 2**63 - 1


@dataclass(frozen=True)
class Sort:
    """What a list can be ordered by: never null, and read back from a cursor by `parse`, which raises ValueError."""

    expression: Any
    parse: Callable[[Any], Any]


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment.astimezone(UTC)


def _key(value: Any) -> int:
    if type(value) is not int or abs(value) > _BIGGEST_KEY:
        raise ValueError("no key")
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("no text")
    value.encode()
    return value


BY_KEY = Sort(F("pk"), _key)
_RANKS = [When(priority=priority, then=Value(rank)) for rank, priority in enumerate(Priority)]
_NEVER = Value(datetime(9999, 1, 1, tzinfo=UTC), output_field=DateTimeField())
CHANGE_SORTS: Mapping[str, Sort] = {
    "number": BY_KEY,
    "created_at": Sort(F("created_at"), _moment),
    "updated_at": Sort(F("updated_at"), _moment),
    # A change that is not planned yet comes after all that are.
    "planned_start": Sort(Coalesce("planned_start", _NEVER), _moment),
    "priority": Sort(Case(*_RANKS, default=Value(len(_RANKS))), _key),
    "title": Sort(F("title"), _line),
}


@dataclass(frozen=True)
class Cursor:
    """A place in a list: beside the row with this sort value and primary key, forwards or backwards of it."""

    ordering: str
    value: Any
    key: int
    backwards: bool

    def encode(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        text = json.dumps([self.ordering, value, self.key, int(self.backwards)], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, token: str, ordering: str, sort: Sort) -> Cursor:
        """Raises ValueError for what `encode` did not make for this ordering."""
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        parts = json.loads(base64.urlsafe_b64decode(padded))
        if not isinstance(parts, list) or len(parts) != 4:
            raise ValueError("no cursor")
        if parts[0] != ordering:
            raise ValueError("another ordering")
        return cls(ordering, sort.parse(parts[1]), _key(parts[2]), bool(parts[3]))


class OnePage(BasePagination):
    """A short list that always fits on one page."""

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": None, "previous": None, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


class KeysetPagination(OnePage):
    """Pages of `{"next", "previous", "results"}`, with the parameters `cursor`, `limit`, and `ordering` where the view
    has `sorts`."""

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.request = request
        self.ordering, sort = _ordering(request, view)
        self.limit = _limit(request)
        self.cursor = _cursor(request, self.ordering, sort)
        backwards = self.cursor is not None and self.cursor.backwards
        descending = self.ordering.startswith("-") != backwards
        queryset = queryset.annotate(sort_value=sort.expression)
        if self.cursor:
            side = "lt" if descending else "gt"
            further = Q(**{f"sort_value__{side}": self.cursor.value})
            tied = Q(sort_value=self.cursor.value) & Q(**{f"pk__{side}": self.cursor.key})
            queryset = queryset.filter(further | tied)
        sign = "-" if descending else ""
        rows = list(queryset.order_by(f"{sign}sort_value", f"{sign}pk")[: self.limit + 1])
        more = len(rows) > self.limit
        self.page = rows[: self.limit]
        if backwards:
            self.page.reverse()
        # The page came from a cursor, so there is a row on the other side of it.
        self.has_next = more if not backwards else True
        self.has_previous = more if backwards else self.cursor is not None
        return self.page

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "next": self._link(self.page[-1], False) if self.page and self.has_next else None,
                "previous": self._link(self.page[0], True) if self.page and self.has_previous else None,
                "results": data,
            }
        )

    def _link(self, row: Any, backwards: bool) -> str:
        token = Cursor(self.ordering, row.sort_value, row.pk, backwards).encode()
        return replace_query_param(self.request.build_absolute_uri(), "cursor", token)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT}
        parameters = [
            _parameter("cursor", "From `next` or `previous` of a page.", {"type": "string"}),
            _parameter("limit", "The most rows on a page.", limit),
        ]
        if view.sorts:
            names = [name for sort in view.sorts for name in (sort, f"-{sort}")]
            schema = {"type": "string", "enum": names, "default": view.default_ordering}
            parameters.append(_parameter("ordering", "What to order by; a hyphen turns it around.", schema))
        return parameters


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _ordering(request: Any, view: Any) -> tuple[str, Sort]:
    if not view.sorts:
        return "id", BY_KEY
    ordering = request.query_params.get("ordering", view.default_ordering)
    sort = view.sorts.get(ordering.removeprefix("-"))
    if sort is None:
        raise ValidationError(
            {"ordering": [f"Give one of: {', '.join(view.sorts)}; with a hyphen before it, reversed."]}
        )
    return ordering, sort


def _limit(request: Any) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= LARGEST_LIMIT):
        raise ValidationError({"limit": [f"Give a number from 1 to {LARGEST_LIMIT}."]})
    return int(text)


def _cursor(request: Any, ordering: str, sort: Sort) -> Cursor | None:
    token = request.query_params.get("cursor")
    if token is None:
        return None
    try:
        return Cursor.decode(token, ordering, sort)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        message = "Not a cursor of this list in this ordering: take it from `next` or `previous` of a page."
        raise ValidationError({"cursor": [message]}) from error
