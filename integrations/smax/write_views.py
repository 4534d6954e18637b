"""The calls of the case exchange, `ces`, in both directions, and those that write many records, `ems/bulk`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rest_framework.exceptions import APIException, Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api.exceptions import TooLarge
from changes.api.throttling import count_more
from integrations import incoming
from integrations.api.operations import authorized_system
from integrations.api.sent import apply
from integrations.choices import IncomingKind
from integrations.outgoing.external_groups import reading_once
from integrations.outgoing.outbox import feed

from . import uploads
from .answers import FAILED, OK, error_details, found, message_of, retry_after
from .face import FaceView
from .properties import NAMES_OF_FIELDS, Known, Layout, moment_of, read
from .records import entity
from .registration import Registration
from .writing import SentEntities, SentEntity

# Operations of one poll, and the most that may be asked for.
POLL = 4000
# Entities of one call. Each costs as much as a call of its own.
MOST_ENTITIES = 200
BULK = {"CREATE": IncomingKind.CREATE, "UPDATE": IncomingKind.UPDATE}
_NAMES = {
    **NAMES_OF_FIELDS,
    "system_id": "ExternalSystem",
    "operation": "Operation",
    "external_id": "ExternalId",
    "external_status": "ExternalStatus",
    "change_number": "Id",
}


@dataclass
class Outcome:
    """What came of one entity: an answer, or an error."""

    sent: SentEntity
    answer: incoming.Answer | None = None
    error: APIException | None = None

    @property
    def change(self) -> Mapping[str, Any] | None:
        return self.answer.body.get("change") if self.answer else None

    @property
    def entity_type(self) -> Any:
        return self.sent.entity.get("entity_type")

    @property
    def details(self) -> dict[str, Any] | None:
        return error_details(self.error.status_code, message_of(self.error, _NAMES)) if self.error else None

    @property
    def status(self) -> str:
        return FAILED if self.error else OK


def entities_of(sent: SentEntities) -> list[Any]:
    """Raises an APIException, and logs it, if there are none, or too many."""
    entities = sent.entities()
    if len(entities) > MOST_ENTITIES:
        message = f"There are {len(entities)}; at most {MOST_ENTITIES} are taken in one call. Send the rest in others."
        too_many = TooLarge(f"entities: {message}", errors={"entities": message})
        sent.log_failure(too_many)
        raise too_many
    return entities


def write(request: Request, entities: Sequence[object], bulk: IncomingKind | None = None) -> list[Outcome]:
    """Applies the entities in order, each on its own, as far as the rate limit leaves room for them."""
    outcomes: list[Outcome] = []
    too_many: Throttled | None = None
    with reading_once():
        for place, each in enumerate(entities):
            sent = SentEntity(request, each, bulk, is_alone=len(entities) == 1)
            if place and not too_many:  # the first one was counted with its call
                too_many = _throttled(request)
            outcomes.append(Outcome(sent, error=too_many) if too_many else _written(sent))
    return outcomes


def _throttled(request: Request) -> Throttled | None:
    try:
        count_more(request)
    except Throttled as error:
        return error
    return None


def _written(sent: SentEntity) -> Outcome:
    try:
        return Outcome(sent, apply(sent))
    except APIException as error:
        return Outcome(sent, error=error)
    finally:
        uploads.close(sent.files)


def properties_of(outcomes: Sequence[Outcome], layout: Layout) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """For each outcome the properties, and the related ones, of its change. Those of a type are read together."""
    result: list[tuple[dict[str, Any], dict[str, Any]]] = []
    known: dict[tuple[int, Any], Known] = {}
    for outcome in outcomes:
        system = outcome.sent.system
        if outcome.change is None or system is None:
            result.append(({}, {}))
            continue
        key = (system.pk, outcome.entity_type)
        if key not in known:
            changes = [each.change for each in outcomes if each.change]
            known[key] = Known(Registration.of(system), str(outcome.entity_type), changes)
        result.append(read(outcome.change, layout, known[key]))
    return result


class ExchangeView(FaceView):
    """The feed of a system's waiting operations, and incoming operations."""

    http_method_names = ["get", "post"]  # not head: what its answer would contain counts as handed out

    def get(self, request: Request, tenant: str) -> Response:
        asked = request.query_params
        system = authorized_system(request, asked.get("system"), "system")
        registration = Registration.of(system)
        entity_type = asked.get("type") or registration.entity_types[0]
        if entity_type not in registration.entity_types:
            raise ValidationError({"type": [f"Give one of: {', '.join(registration.entity_types)}."]})
        window = self.window(POLL, POLL)
        page = feed(system, _since(asked.get("time", "")), window.start, window.stop - window.start)
        known = Known(registration, entity_type, [each.message["change"] for each in page.operations])
        layout = Layout.of(asked.get("layout", ""))
        entities = []
        for operation in page.operations:
            properties, related = read(operation.message["change"], layout, known)
            ext = _ext(system.system_id, operation.operation, operation.message["external_reference"], entity_type)
            entities.append({**entity(entity_type, properties, related), "ext_properties": ext})
        return Response(found(entities, page.total, self.milliseconds))

    def post(self, request: Request, tenant: str) -> Response:
        outcomes = write(request, entities_of(SentEntities(request)))
        layout = Layout.of(request.query_params.get("layout") or "Id")
        entities = [
            _answer(outcome, properties, related)
            for outcome, (properties, related) in zip(outcomes, properties_of(outcomes, layout), strict=True)
        ]
        failed = [outcome for outcome in outcomes if outcome.error]
        meta = {
            "completion_status": FAILED if failed else OK,
            "total_count": len(entities),
            "errorDetails": failed[0].details if failed else None,
        }
        errors = [outcome.error for outcome in failed if outcome.error]
        status = errors[0].status_code if len(errors) == len(outcomes) else HTTPStatus.OK
        return Response({"entities": entities, "meta": meta}, status, headers=retry_after(errors))


def _since(text: str) -> Any:
    if text in ("", "0"):
        return None
    try:
        return moment_of(text)
    except ValueError as error:
        raise ValidationError({"time": [str(error)]}) from error


def _answer(outcome: Outcome, properties: dict[str, Any], related: dict[str, Any]) -> dict[str, Any]:
    ext = outcome.sent.ext
    if outcome.answer:
        reference = outcome.answer.body.get("external_reference")
        shown = _ext(ext.get("ExternalSystem"), ext.get("Operation"), reference, outcome.entity_type)
    else:
        shown = dict(ext)
    return {
        "entity": entity(outcome.entity_type, properties, related),
        "ext_properties": shown,
        "meta": {"completion_status": outcome.status, "errorDetails": outcome.details},
    }


def _ext(system: Any, operation: Any, reference: Mapping[str, Any] | None, entity_type: Any) -> dict[str, Any]:
    known = reference or {}
    return {
        "ExternalSystem": system,
        "Operation": str(operation),
        "ExternalId": known.get("external_id") or "",
        "ExternalEntityType": entity_type if reference else "",
        "ExternalStatus": known.get("external_status") or "",
    }


class BulkView(FaceView):
    """Creates or updates many records. The answer says of each what came of it; the status is always 200."""

    def post(self, request: Request, tenant: str) -> Response:
        try:
            outcomes = self._outcomes(request)
        except APIException as error:
            details = error_details(error.status_code, message_of(error))
            return _bulk([], {"completion_status": FAILED, "errorDetails": details}, [error])
        results = [
            {
                "entity": {"entity_type": outcome.entity_type, "properties": properties},
                "completion_status": outcome.status,
                "errorDetails": outcome.details,
            }
            for outcome, (properties, _) in zip(outcomes, properties_of(outcomes, Layout(("Id",))), strict=True)
        ]
        errors = [outcome.error for outcome in outcomes if outcome.error]
        return _bulk(results, {"completion_status": FAILED if errors else OK}, errors)

    def _outcomes(self, request: Request) -> list[Outcome]:
        entities = entities_of(SentEntities(request))
        operation = self.body.get("operation")
        if not isinstance(operation, str) or operation.upper() not in BULK:
            raise ValidationError({"operation": [f"Give one of: {', '.join(BULK)}."]})
        return write(request, entities, BULK[operation.upper()])


def _bulk(results: list[dict[str, Any]], meta: dict[str, Any], errors: Sequence[APIException]) -> Response:
    return Response({"entity_result_list": results, "meta": meta}, headers=retry_after(errors))
