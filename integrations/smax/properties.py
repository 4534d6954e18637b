"""The properties of a change as adapters know them, in both directions: one table for reading, writing and filters.

A change is read from its form in the API and in messages, `payloads.change_snapshot()`, so that a record, the feed and
the answer to a write look the same. What is written becomes fields of `POST /api/v1/operations/`, which validates them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from changes.api.fields import parse_timestamp
from changes.models import Attachment, Change, SupportGroup
from changes.texts.timestamps import timestamp
from changes.validators import is_possible
from integrations import rich_text

from .registration import Registration

FULL = "FULL_LAYOUT"
ALWAYS = ("Id", "LastUpdateTime")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
MOST_DIGITS = 18


# --- Single values ---


def milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(value: object) -> datetime:
    """The time of so many milliseconds since 1970, as a number or quoted. Raises ValueError."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if isinstance(value, bool) or not text.lstrip("-").isascii() or not text.lstrip("-").isdecimal():
        raise ValueError("Give a time as milliseconds since 1970, such as 1764000000000.")
    try:
        moment = _EPOCH + int(text[:MOST_DIGITS]) * _MILLISECOND
    except (OverflowError, ValueError) as error:
        raise ValueError("There is no such time.") from error
    if len(text) > MOST_DIGITS or not is_possible(moment):
        raise ValueError("There is no such time.")
    return moment


def number_of(record_id: object) -> str | None:
    """The number of the change with this `Id`: its number without prefix and zeros. None if it cannot be one."""
    text = str(whole(record_id)).strip().upper().removeprefix("CHG").removesuffix(".0")
    if isinstance(record_id, bool) or not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        return None
    return f"CHG{int(text):07d}"


def whole(value: object) -> object:
    """A whole number without its fraction, which some adapters write: 11.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def id_of(number: str) -> str:
    return str(int(number[3:]))


def guid_of(attachment: Attachment) -> UUID:
    """The id of a file: that of the upload which it came by, or else one made of its key."""
    upload = getattr(attachment, "smax_upload", None)
    return upload.guid if upload else UUID(int=attachment.pk)


def text_of(value: object) -> str:
    """A text, or a number as its digits. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("Give a text.")
    return str(value)


# --- The table ---


class Kind:
    """How the value of a property is read and written. `parts`: the names behind a dot that are read and written."""

    parts: tuple[str, ...] = ()

    def read(self, value: Any, known: Known, name: str) -> Any:
        return value

    def read_part(self, value: Any, known: Known, part: str) -> Any:
        return value

    def write(self, value: Any, registration: Registration, name: str) -> Any:
        """The value for the API. Raises ValueError, with what to give instead."""
        return text_of("" if value is None else value)


class Number(Kind):
    def read(self, value: Any, known: Known, name: str) -> Any:
        return id_of(value)


class Rich(Kind):
    def read(self, value: Any, known: Known, name: str) -> Any:
        return rich_text.to_html(value)

    def write(self, value: Any, registration: Registration, name: str) -> Any:
        return rich_text.to_text(text_of("" if value is None else value))


class Service(Kind):
    """A free text here, a record there: the text is its id too."""

    parts = ("DisplayLabel", "Name")


class Choice(Kind):
    def read(self, value: Any, known: Known, name: str) -> Any:
        return known.registration.read[name].get(value, value)

    def write(self, value: Any, registration: Registration, name: str) -> Any:
        return choice_of(value, registration, name) if value not in (None, "") else None


class Moment(Kind):
    def read(self, value: Any, known: Known, name: str) -> Any:
        return milliseconds(parse_timestamp(value)) if value else None

    def write(self, value: Any, registration: Registration, name: str) -> Any:
        return timestamp(moment_of(value)) if value not in (None, "") else None


class Group(Kind):
    parts = ("Name", "DisplayLabel")

    def read(self, value: Any, known: Known, name: str) -> Any:
        return known.groups.get(value) if value else None

    def write(self, value: Any, registration: Registration, name: str) -> Any:
        return group_named(text_of(whole(value))) if value not in (None, "") else None


class Person(Kind):
    parts = ("Name", "DisplayLabel")

    def read(self, value: Any, known: Known, name: str) -> Any:
        return known.people.get(value) if value else None


class Nothing(Kind):
    """What SMAX has and we do not."""

    parts = ("Name", "DisplayLabel")

    def read(self, value: Any, known: Known, name: str) -> Any:
        return None

    def read_part(self, value: Any, known: Known, part: str) -> Any:
        return None


def choice_of(value: object, registration: Registration, name: str) -> str:
    """Our value for theirs. Raises ValueError, which lists theirs."""
    ours = registration.written[name].get(value) if isinstance(value, str) else None
    if ours is None:
        raise ValueError(f"Give one of: {', '.join(registration.read[name].values())}.")
    return ours


def group_named(given: str) -> str:
    """The name of the group with this id or name. An unknown one is returned as it is: the API says what is wrong."""
    if given.isascii() and given.isdecimal() and len(given) <= MOST_DIGITS:
        group = SupportGroup.objects.filter(pk=int(given)).first()
        if group is not None:
            return group.name
    return given


@dataclass(frozen=True)
class Property:
    """`field`: its name in the API. `aliases`: other names that adapters use for it."""

    name: str
    field: str
    kind: Kind = Kind()  # noqa: RUF009 - it has no state
    aliases: tuple[str, ...] = ()
    is_written: bool = True


TABLE = (
    Property("Id", "number", Number(), is_written=False),
    Property("DisplayLabel", "title"),
    Property("Description", "description", Rich()),
    Property("Justification", "justification"),
    Property("ReasonForChange", "reason"),
    Property("ImplementationPlan", "implementation_plan", Rich()),
    Property("BackoutPlan", "backout_plan", Rich()),
    Property("Category", "category"),
    Property("AffectsActualService", "service", Service(), ("RegisteredForActualService",)),
    Property("ChangeWorkflowType", "change_type", Choice(), ("ChangeType",)),
    Property("PhaseId", "phase", Choice()),
    Property("CompletionCode", "completion_code", Choice()),
    Property("RiskAssessment", "risk", Choice()),
    Property("ImpactScope", "business_impact", Choice()),
    Property("Urgency", "urgency", Choice()),
    Property("Priority", "priority", Choice(), is_written=False),
    Property("OwnedByGroup", "owning_group", Group()),
    Property("RequestedByPerson", "requested_by", Person(), is_written=False),
    Property("OwnedByPerson", "", Nothing(), is_written=False),
    Property("ScheduledStartTime", "planned_start", Moment()),
    Property("ScheduledEndTime", "planned_end", Moment()),
    Property("ActualStartTime", "actual_start", Moment()),
    Property("ActualEndTime", "actual_end", Moment()),
    Property("EmsCreationTime", "created_at", Moment(), ("CreateTime",), is_written=False),
    Property("LastUpdateTime", "updated_at", Moment(), is_written=False),
)
BY_NAME: Mapping[str, Property] = {name: each for each in TABLE for name in (each.name, *each.aliases)}
# How errors of the API's fields are told to an adapter.
NAMES_OF_FIELDS = {f"properties.{each.field}": each.name for each in TABLE if each.field}
_RICH = {each.field for each in TABLE if isinstance(each.kind, Rich)}
_MOMENTS = {each.field for each in TABLE if isinstance(each.kind, Moment)}


def found(name: str) -> tuple[Property, str] | None:
    """The property of this name, and the name behind its dot ("" without one). None if there is none."""
    whole, _, part = name.partition(".")
    known = BY_NAME.get(whole)
    return (known, part) if known and (not part or part in known.kind.parts) and "." not in name[-1:] else None


# --- Reading ---


@dataclass(frozen=True)
class Layout:
    """Which properties an answer has. Names that we do not have are left out."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Layout:
        """Without any text: the full layout."""
        names = [name.strip() for name in text.split(",")[:1000] if name.strip()]
        if not names or FULL in names:
            names += [each.name for each in TABLE]
            names.append("Attachments")
        return cls(tuple(dict.fromkeys([*ALWAYS, *names])))


@dataclass
class Known:
    """What some changes refer to, read once for all of them, and only what the layout needs."""

    registration: Registration
    entity_type: str
    changes: Sequence[Mapping[str, Any]]

    @cached_property
    def groups(self) -> dict[str, str]:
        return _ids(SupportGroup.objects.filter(name__in=self._values("owning_group")).values_list("name", "pk"))

    @cached_property
    def people(self) -> dict[str, str]:
        users = get_user_model().objects.filter(username__in=self._values("requested_by"))
        return _ids(users.values_list("username", "pk"))

    @cached_property
    def attachments(self) -> dict[str, list[Attachment]]:
        keys = [int(change["number"][3:]) for change in self.changes]
        files: dict[str, list[Attachment]] = {}
        for attachment in Attachment.objects.filter(change__in=keys).select_related("smax_upload").order_by("pk"):
            files.setdefault(str(attachment.change_id), []).append(attachment)
        return files

    def _values(self, name: str) -> set[Any]:
        return {change[name] for change in self.changes if change.get(name)}


def _ids(rows: Iterable[tuple[str, int]]) -> dict[str, str]:
    return {name: str(key) for name, key in rows}


def read(change: Mapping[str, Any], layout: Layout, known: Known) -> tuple[dict[str, Any], dict[str, Any]]:
    """The properties of a change, and the related ones."""
    properties: dict[str, Any] = {}
    related: dict[str, dict[str, Any]] = {}
    files = f"{known.entity_type}Attachments"
    for name in layout.names:
        if name in ("Attachments", files):
            properties[files] = attachments_text(known.attachments.get(id_of(change["number"]), []))
        elif each := found(name):
            given, part = each
            value = change.get(given.field)
            if part:
                related.setdefault(name.partition(".")[0], {})[part] = given.kind.read_part(value, known, part)
            else:
                properties[name] = given.kind.read(value, known, given.name)
    return properties, related


def attachments_text(attachments: Iterable[Attachment]) -> str:
    """The property of a change's files: JSON, in a text."""
    listed = [
        {
            "properties": {
                "id": str(guid_of(attachment)),
                "file_name": attachment.file_name,
                "size": attachment.size,
                "mime_type": attachment.content_type,
            }
        }
        for attachment in attachments
    ]
    return json.dumps({"complexTypeProperties": listed}, ensure_ascii=False, separators=(",", ":"))


# --- Writing ---


def as_kept(change: Change, properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what differs only by having been read here, and written back: HTML, and times without microseconds."""
    same = {
        name for name in {*properties} & (_RICH | _MOMENTS) if _is_kept(name, getattr(change, name), properties[name])
    }
    return {name: value for name, value in properties.items() if name not in same}


def _is_kept(name: str, present: Any, value: Any) -> bool:
    if name in _RICH:
        return rich_text.as_read(present) == rich_text.as_read(value)
    return present is not None and value is not None and milliseconds(present) == milliseconds(value)
