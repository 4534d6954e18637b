"""Reading: what adapters look up besides changes. Groups, persons, and kinds of records that we do not have."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from changes.models import SupportGroup
from integrations.access import reachable

from . import filters
from .answers import found
from .face import NOT_FOUND, FaceView
from .records import entity

# They are short, and adapters read all of them at once.
PAGE = 4000


class DirectoryView(FaceView):
    """Records with an `Id` and a `Name`."""

    entity_type = ""
    name_field = ""

    def rows(self) -> QuerySet[Any]:
        raise NotImplementedError

    def get(self, request: Request, tenant: str, record_id: str = "") -> Response:
        asked = request.query_params
        names = {name.strip() for name in asked.get("layout", "").split(",")} - {""}
        rows = self.rows()
        if record_id:
            row = rows.filter(pk=_key(record_id)).first()
            if row is None:
                raise NotFound(NOT_FOUND)
            return Response(found([self._entity(row, names)], 1, self.milliseconds))
        columns: filters.Columns = {
            "Id": filters.Column("pk", filters.key),
            **{name: filters.text(self.name_field) for name in ("Name", "DisplayLabel")},
        }
        matching = rows.filter(filters.condition(asked.get("filter", ""), columns))
        page = matching.order_by(*filters.ordering(asked.get("order", ""), columns))[self.window(PAGE, PAGE)]
        return Response(found([self._entity(row, names) for row in page], matching.count(), self.milliseconds))

    def _entity(self, row: Any, layout: set[str]) -> dict[str, Any]:
        name = getattr(row, self.name_field)
        whole = {"Id": str(row.pk), "Name": name, "DisplayLabel": name}
        wanted = {"Id", "Name"} if not layout or "FULL_LAYOUT" in layout else {"Id", *layout}
        return entity(self.entity_type, {key: value for key, value in whole.items() if key in wanted})


def _key(record_id: str) -> int:
    try:
        return filters.key(record_id)
    except ValueError as error:
        raise NotFound(NOT_FOUND) from error


class GroupsView(DirectoryView):
    """All support groups: an adapter may give a change to any."""

    entity_type, name_field = "PersonGroup", "name"

    def rows(self) -> QuerySet[Any]:
        return SupportGroup.objects.only("pk", "name")


class PeopleView(DirectoryView):
    """The persons that the caller's changes name."""

    entity_type, name_field = "Person", "username"

    def rows(self) -> QuerySet[Any]:
        named = reachable(self.systems).order_by().values("requested_by")
        return get_user_model().objects.filter(pk__in=named).only("pk", "username")


class EmptyView(FaceView):
    """A kind of records that adapters read and that we do not have."""

    def get(self, request: Request, tenant: str, entity_type: str, record_id: str = "") -> Response:
        if record_id:
            raise NotFound(NOT_FOUND)
        return Response(found([], 0, self.milliseconds))


class MeView(FaceView):
    """Who calls."""

    def get(self, request: Request, tenant: str) -> Response:
        user = request.user
        properties = {"Id": str(user.pk), "Name": user.get_username(), "Upn": user.get_username()}
        return Response(found([entity("Person", properties)], 1, self.milliseconds))
