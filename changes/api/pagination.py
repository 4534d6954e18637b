"""Keyset pagination of the API's lists: see changes/queries/keyset.py. A cursor names the row before or after the page.

The library's own cursor pagination is not used: it compares one column only, and counts at most a thousand ties.
"""

from __future__ import annotations

import base64
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from changes.queries.keyset import PRIMARY_KEY, Order, Place, page

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
# Whether the page comes after or before the row that the cursor names.
_AFTER, _BEFORE = "after", "before"


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
    """Pages of `{"next", "previous", "results"}` for the parameters `cursor` and `limit`.

    If the view has `orders`, there is the parameter `ordering` too.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.ordering = _ordering(request, view)
        order = Order(
            view.orders[self.ordering.removeprefix("-")] if view.orders else (PRIMARY_KEY,),
            is_descending=self.ordering.startswith("-"),
        )

        def load(order: Order, place: Place | None, limit: int) -> list[Any]:
            return list(order.sorted(order.beyond(queryset, place))[:limit])

        self.page = page(order, load, _limit(request), **_place(request, self.ordering, order))
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        links = {"next": self._link(_AFTER, self.page.next), "previous": self._link(_BEFORE, self.page.previous)}
        return Response({**links, "results": data})

    def _link(self, side: str, place: str) -> str | None:
        if not place:
            return None
        cursor = _encode(self.ordering, side, place)
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_LIMIT, "default": DEFAULT_LIMIT}
        parameters = [
            _parameter("cursor", "From `next` or `previous` of a page.", {"type": "string"}),
            _parameter("limit", "The maximum number of rows on a page.", limit),
        ]
        if view.orders:
            names = [name for order in view.orders for name in (order, f"-{order}")]
            schema = {"type": "string", "enum": names, "default": view.default_ordering}
            parameters.append(_parameter("ordering", "The field to order by; a leading hyphen reverses it.", schema))
        return parameters


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _ordering(request: Request, view: Any) -> str:
    if not view.orders:
        return ""
    ordering: str = request.query_params.get("ordering", view.default_ordering)
    if ordering.removeprefix("-") not in view.orders:
        raise ValidationError(
            {"ordering": [f"Give one of: {', '.join(view.orders)}. A leading hyphen reverses the order."]}
        )
    return ordering


def _limit(request: Any) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= LARGEST_LIMIT):
        raise ValidationError({"limit": [f"Give a number from 1 to {LARGEST_LIMIT}."]})
    return int(text)


def _place(request: Request, ordering: str, order: Order) -> dict[str, Place]:
    """The place in the request's cursor, as a keyword argument of `page()`; empty without a cursor."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return {}
    try:
        made_for, side, text = _decode(cursor)
    except ValueError:
        made_for = side = text = ""
    place = order.read(text)
    if place is None or made_for != ordering or side not in (_AFTER, _BEFORE):
        message = "Not a cursor of this list in this ordering: take it from `next` or `previous` of a page."
        raise ValidationError({"cursor": [message]})
    return {side: place}


def _encode(*parts: str) -> str:
    """A cursor with these parts, encoded so that clients do not build cursors themselves."""
    return base64.urlsafe_b64encode(" ".join(parts).encode()).decode().rstrip("=")


def _decode(cursor: str) -> list[str]:
    """The three parts of a cursor. Raises ValueError unless `_encode()` made it."""
    parts = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode().split(" ")
    if len(parts) != 3:
        raise ValueError("no cursor")
    return parts
