"""Reading: `ems/{Type}` for changes, and a change's external reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from changes.models import Change
from changes.queries.querysets import ChangeQuerySet
from integrations.access import reachable
from integrations.models import ExternalReference, ExternalSystem
from integrations.outgoing.payloads import change_snapshot

from . import filters
from .answers import found
from .face import NOT_FOUND, FaceView
from .properties import (
    TABLE,
    Choice,
    Group,
    Known,
    Layout,
    Moment,
    Nothing,
    Number,
    Person,
    id_of,
    milliseconds,
    number_of,
    read,
)
from .registration import Registration

# Records of one answer, unless the caller asks for fewer. Long texts of more would take too much memory.
PAGE = 250
LONGEST_PAGE = 1000


def columns_of(registration: Registration) -> filters.Columns:
    """What changes can be filtered and ordered by."""
    columns: dict[str, filters.Column | filters.Constant] = {}
    for each in TABLE:
        for name in (each.name, *each.aliases):
            if isinstance(each.kind, Number):
                columns[name] = filters.Column("pk", _key_of_change)
            elif isinstance(each.kind, Choice):
                columns[name] = filters.one_of(each.field, registration, each.name)
            elif isinstance(each.kind, Moment):
                columns[name] = filters.moment(each.field)
            elif isinstance(each.kind, Nothing):
                columns[name] = filters.Constant(())
            elif isinstance(each.kind, Group | Person):
                columns[name] = filters.Column(f"{each.field}_id", filters.key)
                shown = "name" if isinstance(each.kind, Group) else "username"
                columns |= {f"{name}.{part}": filters.text(f"{each.field}__{shown}") for part in each.kind.parts}
            else:
                columns[name] = filters.text(each.field)
                columns |= {f"{name}.{part}": filters.text(each.field) for part in each.kind.parts}
    return columns


def _key_of_change(value: str) -> int:
    number = number_of(value)
    if number is None:
        raise ValueError("Give the id of a change, such as '7'.")
    return int(number[3:])


class RecordsView(FaceView):
    """A list of changes, or one change."""

    def changes(self) -> ChangeQuerySet:
        """The changes that the caller reaches."""
        return reachable(self.systems).with_people()

    def get(self, request: Request, tenant: str, entity_type: str, record_id: str = "") -> Response:
        registration = self.registration_for(entity_type)
        layout = Layout.of(request.query_params.get("layout", ""))
        if record_id:
            return Response(self._answer([change_of(self.systems, record_id)], 1, layout, registration, entity_type))
        columns = columns_of(registration)
        condition = filters.condition(request.query_params.get("filter", ""), columns)
        order = filters.ordering(request.query_params.get("order", ""), columns)
        matching = self.changes().filter(condition).order_by(*order)
        page = matching[self.window(PAGE, LONGEST_PAGE)]
        return Response(self._answer(list(page), matching.count(), layout, registration, entity_type))

    def _answer(
        self, changes: Sequence[Change], total: int, layout: Layout, registration: Registration, entity_type: str
    ) -> dict[str, Any]:
        known = Known(registration, entity_type, [change_snapshot(change) for change in changes])
        entities = []
        for snapshot in known.changes:
            properties, related = read(snapshot, layout, known)
            entities.append(entity(entity_type, properties, related))
        return found(entities, total, self.milliseconds)


def entity(entity_type: str, properties: dict[str, Any], related: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"entity_type": entity_type, "properties": properties, "related_properties": related or {}}


def change_of(systems: Sequence[ExternalSystem], record_id: object) -> Change:
    """The change with this `Id`. Raises NotFound if it does not exist, or the caller does not reach it."""
    number = number_of(record_id)
    change = reachable(systems).with_people().filter(number=number).first() if number else None
    if change is None:
        raise NotFound(NOT_FOUND)
    return change


class ReferencesView(FaceView):
    """The caller's references to records of its own."""

    def get(self, request: Request, tenant: str) -> Response:
        types = {system.pk: Registration.of(system).entity_types for system in self.systems}
        known_types = {name for names in types.values() for name in names}
        columns: filters.Columns = {
            "Id": filters.Column("pk", filters.key),
            "EntityId": filters.Column("change_id", _key_of_change),
            "EntityType": filters.Constant(known_types, "change_id"),
            "ExternalId": filters.text("external_id"),
            "ExternalEntityType": filters.Constant(known_types, "change_id"),
            "ExternalStatus": filters.text("external_status"),
            "ExternalUrl": filters.text("external_url"),
            "ExternalSystem": filters.text("system__system_id"),
            "ExternalSystem.SystemId": filters.text("system__system_id"),
            "LastUpdateTime": filters.moment("updated_at"),
        }
        condition: Q = filters.condition(request.query_params.get("filter", ""), columns)
        order = filters.ordering(request.query_params.get("order", ""), columns)
        own: QuerySet[ExternalReference] = ExternalReference.objects.filter(condition, system__in=self.systems)
        page = own.select_related("system", "change").order_by(*order)[self.window(PAGE, LONGEST_PAGE)]
        names = [name.strip() for name in request.query_params.get("layout", "").split(",") if name.strip()]
        entities = [self._entity(reference, names, types[reference.system_id][0]) for reference in page]
        return Response(found(entities, own.count(), self.milliseconds))

    @staticmethod
    def _entity(reference: ExternalReference, layout: list[str], entity_type: str) -> dict[str, Any]:
        whole = {
            "Id": str(reference.pk),
            "EntityId": id_of(reference.change.number),
            "EntityType": entity_type,
            "ExternalId": reference.external_id,
            "ExternalEntityType": entity_type,
            "ExternalStatus": reference.external_status,
            "ExternalUrl": reference.external_url,
            "ExternalSystem": str(reference.system_id),
            "LastUpdateTime": milliseconds(reference.updated_at),
        }
        wanted = {*layout} if layout and "FULL_LAYOUT" not in layout else {*whole, "ExternalSystem.SystemId"}
        is_related = any(name.startswith("ExternalSystem.") for name in wanted)
        related = {"ExternalSystem": {"SystemId": reference.system.system_id}} if is_related else None
        properties = {
            name: value for name, value in whole.items() if name in wanted or name in ("Id", "LastUpdateTime")
        }
        return entity("ExternalReference", properties, related)
