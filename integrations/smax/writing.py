"""Writing: an entity of an adapter becomes an `IncomingRequest`, and goes the way of `POST /api/v1/operations/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast
from uuid import UUID

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from changes.api.exceptions import Problem
from changes.api.parsers import loads
from changes.choices import Visibility
from changes.models import Change
from changes.validators import made_visible
from integrations import incoming
from integrations.access import reachable
from integrations.api.operation_serializers import valid_request
from integrations.api.operations import authorized_system
from integrations.api.sent import Sent
from integrations.choices import IncomingKind
from integrations.json_text import without_passwords
from integrations.models import ExternalSystem

from . import uploads
from .comments import added_once, created_time_of
from .properties import Group, as_kept, found, number_of, text_of
from .registration import DEFAULT_TYPES, Registration

# What adapters write besides, and what it is taken for.
TAKEN_AS_UPDATE = ("Accept", "Resolve", "Close", "Reopen")
PRIVACY = {
    "PUBLIC": Visibility.PUBLIC.value,
    **dict.fromkeys(("PRIVATE", "INTERNAL", "AGENTPUBLIC"), Visibility.PRIVATE.value),
}
PARTS = {"entity_type", "properties", "related_properties", "Comments", "ext_properties", "layout", "meta"}
EXT_PROPERTIES = {"ExternalSystem", "Operation", "ExternalId", "ExternalEntityType", "ExternalStatus"}
MOST_FILES = 1000
MOST_NAMED = 20
_WITH_PROPERTIES = (IncomingKind.CREATE, IncomingKind.UPDATE)


class SentEntity(Sent):
    """One entity of `POST ces` or of a bulk call. `bulk`: what the bulk call asks for, None for `POST ces`.

    `is_alone`: it is the only one of its call, so that the call may have an idempotency key.
    """

    def __init__(
        self, request: Request, entity: object, bulk: IncomingKind | None = None, *, is_alone: bool = True
    ) -> None:
        super().__init__(request)
        self.bulk = bulk
        self.is_alone = is_alone
        self.token, self.payer = request.auth.token, request.auth.systems[0]  # type: ignore[union-attr]
        self.entity: Mapping[str, Any] = entity if isinstance(entity, dict) else {}
        self.is_entity = isinstance(entity, dict)
        self.payload = {"bulk": bulk.name, **self.entity} if bulk else self.entity
        text = json.dumps(self.payload if self.is_entity else entity, sort_keys=True).encode()
        self.body_sha256 = hashlib.sha256(text).hexdigest()
        self.size = self.bytes_to_store = len(text)
        self.files: list[dict[str, Any]] = []

    @property
    def length(self) -> int:
        return self.size

    @property
    def ext(self) -> Mapping[str, Any]:
        given = self.entity.get("ext_properties")
        return given if isinstance(given, dict) else {}

    @property
    def properties(self) -> Mapping[str, Any]:
        given = self.entity.get("properties")
        return given if isinstance(given, dict) else {}

    @property
    def named(self) -> Mapping[str, Any]:
        operation = self.bulk.value if self.bulk else self.ext.get("Operation")
        operation = IncomingKind.UPDATE.value if operation in TAKEN_AS_UPDATE else operation
        number = number_of(self.properties.get("Id", ""))
        named = {"operation": operation, "external_id": self.ext.get("ExternalId")}
        return {**named, "change_number": number} if number and operation != IncomingKind.CREATE else named

    def read(self) -> incoming.IncomingRequest:
        self._check_shape()
        self.key = self._key()
        self.system = system = self._sender()
        translated = Translation(self, Registration.of(system)).made()
        request = valid_request({**translated.body, "system_id": system.system_id}, system)
        self.files = uploads.linking(translated.guids, self.request.auth.systems, translated.files_property)  # type: ignore[union-attr]
        return replace(
            request,
            external_id="" if translated.names_itself else request.external_id,
            token=self.token,
            payload=without_passwords(self.payload),
            body_sha256=self.body_sha256,
            idempotency_key=self.key,
            note=translated.note,
            comments=tuple(map(partial(added_once, system), request.comments, translated.created_times)),
            attachments=tuple(self.files),
            is_repeatable=True,
            names_itself=translated.names_itself,
            as_kept=as_kept,
        )

    def _check_shape(self) -> None:
        if not self.is_entity:
            raise Problem("An entity is a JSON object.")
        parts: dict[str, type] = {"properties": dict, "ext_properties": dict, "Comments": list}
        errors = {
            name: [f"Give {'a list' if kind is list else 'an object'}."]
            for name, kind in parts.items()
            if not isinstance(self.entity.get(name, kind()) or kind(), kind)
        }
        if errors:
            raise ValidationError(errors)

    def _key(self) -> str | None:
        key = self.header("Idempotency-Key")
        if key is not None and not self.is_alone:
            message = "Send each entity in a call of its own, with its own key."
            raise Problem(f"Idempotency-Key: {message}", "invalid", {"Idempotency-Key": message})
        return key

    def _sender(self) -> ExternalSystem:
        """The system that the entity speaks for: for a bulk call, the caller's, if it names none."""
        named = self.ext.get("ExternalSystem")
        if named in (None, "") and self.bulk:
            return _linked(self.request.auth.systems, self.named.get("change_number"))  # type: ignore[union-attr]
        if not isinstance(named, str) or not named:
            raise ValidationError({"ExternalSystem": ["Name your system, in ext_properties."]})
        return authorized_system(self.request, named, "ExternalSystem")


def _linked(systems: Sequence[ExternalSystem], number: str | None) -> ExternalSystem:
    """The caller's enabled system that is linked to the change. The only one, if it has only one."""
    enabled = [system for system in systems if system.enabled]
    if len(enabled) > 1 and number:
        change = Change.objects.filter(number=number).only("pk").first()
        enabled = [
            system for system in enabled if change and reachable([system]).filter(pk=change.pk).exists()
        ] or enabled[:1]
    if len(enabled) > 1:
        names = ", ".join(system.system_id for system in enabled)
        message = f"You speak for several systems ({names}): name one in ext_properties."
        raise ValidationError({"ExternalSystem": [message]})
    return enabled[0]


class SentEntities(Sent):
    """The body of a call that writes. It is logged only if it has no entities."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.token, self.payer = request.auth.token, request.auth.systems[0]  # type: ignore[union-attr]

    def read(self) -> incoming.IncomingRequest:
        raise NotImplementedError("Each entity is an operation: see `entities()`.")

    def entities(self) -> list[Any]:
        """Raises an APIException, and logs it, if there are none."""
        try:
            listed = self._body().get("entities")
            if not isinstance(listed, list) or not listed:
                raise ValidationError({"entities": ["Give a list of at least one entity."]})
        except APIException as error:
            self.log_failure(error)
            raise
        return listed

    def _body(self) -> Mapping[str, Any]:
        try:
            self.payload = cast(Mapping[str, Any], self.request.data)
        except APIException as error:
            if raw := getattr(error, "body", b""):
                self.keep_unreadable(raw)
            raise
        self.body_sha256 = hashlib.sha256(json.dumps(self.payload, sort_keys=True).encode()).hexdigest()
        return self.payload


# --- Translating ---


@dataclass
class Translated:
    """An operation in the form of the API, and what that form has no place for."""

    body: dict[str, Any]
    note: str = ""
    created_times: list[Any] = field(default_factory=list)
    guids: list[UUID] = field(default_factory=list)
    files_property: str = ""
    names_itself: bool = False


class Translation:
    """Reads an entity, and collects its errors by the names that the adapter knows."""

    def __init__(self, sent: SentEntity, registration: Registration) -> None:
        self.sent, self.registration = sent, registration
        self.errors: dict[str, list[str]] = {}
        self.notes: list[str] = []

    def made(self) -> Translated:
        """Raises ValidationError, which names all that is wrong."""
        entity_type = self.sent.entity.get("entity_type")
        known = self.registration.entity_types
        if entity_type not in known:
            self.errors["entity_type"] = [f"Give one of: {', '.join(known)}."]
        operation = self._operation()
        made = Translated({"operation": operation})
        self._name_record(made, operation)
        self._take_properties(made, operation)
        self._take_comments(made)
        self._note_unknown_parts()
        if self.errors:
            raise ValidationError(self.errors)
        made.note = " ".join(self.notes)
        return made

    def _note_unknown_parts(self) -> None:
        """Otherwise nobody would notice a mistyped `ExternalID`."""
        unknown = [name for name in self.sent.entity if name not in PARTS]
        unknown += [f"ext_properties.{name}" for name in self.sent.ext if name not in EXT_PROPERTIES]
        if self.registration.refuses_unknown:
            self.errors |= {name[:100]: ["An entity has no such part."] for name in unknown[:MOST_NAMED]}
        self._note("Ignored parts that an entity does not have", unknown)

    def _operation(self) -> str:
        given = self.sent.bulk.value if self.sent.bulk else self.sent.ext.get("Operation")
        if given in TAKEN_AS_UPDATE:
            self.notes.append(f"{given} was taken as an Update.")
            return IncomingKind.UPDATE.value
        if given not in IncomingKind.values:
            self.errors["Operation"] = [f"Give one of: {', '.join([*IncomingKind.values, *TAKEN_AS_UPDATE])}."]
        return str(given)

    def _name_record(self, made: Translated, operation: str) -> None:
        ext = self.sent.ext
        for name, key in (("ExternalId", "external_id"), ("ExternalStatus", "external_status")):
            # What a Reject says of a record that is none any more is of no interest.
            is_wanted = name == "ExternalId" or operation != IncomingKind.REJECT
            if ext.get(name) not in (None, "") and is_wanted:
                made.body[key] = self._tried(name, text_of, ext[name])
        record_id = self.sent.properties.get("Id")
        if operation == IncomingKind.CREATE:
            if record_id not in (None, ""):
                self.notes.append("Ignored: Id, since Create makes a new change.")
            if self.sent.bulk and "external_id" not in made.body:
                made.names_itself = True
                made.body["external_id"] = "-"  # the reference gets our own id
        elif record_id not in (None, ""):
            number = number_of(record_id)
            if number is None:
                self.errors["Id"] = ["Give the number of a change without its prefix and zeros, such as 12."]
            made.body["change_number"] = number
        elif "external_id" not in made.body:
            self.errors["Id"] = [f"{operation} needs Id, or ExternalId in ext_properties."]

    def _take_properties(self, made: Translated, operation: str) -> None:
        given = {name: value for name, value in self.sent.properties.items() if name != "Id"}
        if operation not in _WITH_PROPERTIES:
            self._note(f"Ignored, since {operation} takes no properties", given)
            return
        fields: dict[str, Any] = {}
        unknown, unwritten = [], []
        files = {f"{name}Attachments" for name in (*self.registration.entity_types, *DEFAULT_TYPES)}
        for name, value in given.items():
            known = found(name)
            if name in files:
                made.files_property, made.guids = name, self._tried(name, guids_in, value) or []
            elif known is None:
                unknown.append(name)
            elif not known[0].is_written:
                unwritten.append(name)
            else:
                self._take(fields, name, value)
        if self.registration.refuses_unknown:
            self.errors |= {name: ["A change has no such property."] for name in unknown[:MOST_NAMED]}
        self._note("Ignored properties that a change does not have", unknown)
        self._note("Ignored properties that cannot be written", unwritten)
        if fields:
            made.body["properties"] = fields

    def _take(self, fields: dict[str, Any], name: str, value: Any) -> None:
        known, part = found(name)  # type: ignore[misc] # looked up before
        by_name = bool(part) and isinstance(known.kind, Group)  # a name of digits is no id then
        write = text_of if by_name and value not in (None, "") else known.kind.write
        arguments = () if write is text_of else (self.registration, known.name)
        taken = self._tried(name, write, value, *arguments)
        if fields.setdefault(known.field, taken) != taken:
            self.errors[name] = ["It is given twice under different names, with different values."]

    def _take_comments(self, made: Translated) -> None:
        comments = []
        for index, sent in enumerate(self.sent.entity.get("Comments") or []):
            path = f"Comments.{index}"
            if not isinstance(sent, dict):
                self.errors[path] = ["Give an object."]
                continue
            comment: dict[str, Any] = {"body": sent.get("Body")}
            if (privacy := sent.get("PrivacyType")) not in (None, ""):
                comment["visibility"] = self._tried(f"{path}.PrivacyType", visibility_of, privacy)
            self._tried(f"{path}.IsSystem", switch_of, sent.get("IsSystem"))
            made.created_times.append(self._tried(f"{path}.CreatedTime", created_time_of, sent.get("CreatedTime")))
            comments.append(comment)
        if comments:
            made.body["comments"] = comments

    def _tried(self, name: str, convert: Any, *values: Any) -> Any:
        try:
            return convert(*values)
        except ValueError as error:
            self.errors[name] = [str(error)]
            return None

    def _note(self, why: str, names: Any) -> None:
        if names:
            some = [made_visible(name[:100]) for name in names][:MOST_NAMED]
            self.notes.append(f"{why}: {', '.join(some)}{'…' if len(names) > len(some) else ''}.")


# --- Single values ---


def visibility_of(privacy: object) -> str:
    visibility = PRIVACY.get(privacy.upper()) if isinstance(privacy, str) else None
    if visibility is None:
        raise ValueError(f"Give one of: {', '.join(PRIVACY)}.")
    return visibility


def switch_of(value: object) -> None:
    if value is not None and str(value).lower() not in ("true", "false", ""):
        raise ValueError("Give true or false.")


def guids_in(value: object) -> list[UUID]:
    """The ids of the files in the property, JSON in a text. Raises ValueError."""
    try:
        whole = loads(value) if isinstance(value, str) and value.strip() else value
    except APIException as error:
        raise ValueError(f"It is no JSON: {error.detail}") from error
    if whole in (None, ""):
        return []
    listed = whole.get("complexTypeProperties") if isinstance(whole, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_FILES:
        raise ValueError(f'Give JSON such as {{"complexTypeProperties": []}}, with at most {MOST_FILES} files.')
    return [_guid(each) for each in listed]


def _guid(file: object) -> UUID:
    properties = file.get("properties") if isinstance(file, dict) else None
    given = properties.get("id") if isinstance(properties, dict) else None
    try:
        return UUID(given if isinstance(given, str) else "")
    except ValueError as error:
        raise ValueError("Each file needs properties with an id, the guid that the upload answered.") from error
