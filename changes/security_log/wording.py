"""Security events as sentences, in the language of the reader."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models.installation.security_event import SecurityEvent
from changes.texts.isolation import apart

from .kinds import KINDS, EventKind, Topic

# Fields that are not the object's own: those of a token are told with its user.
LABELS = {"expiry": gettext_lazy("end of the token"), "system": gettext_lazy("system"), "user": gettext_lazy("user")}
# The value of a changed field that is not shown, because it is a secret.
CHANGED = "changed"


@dataclass(frozen=True)
class Altered:
    """One field that an event changed, by its label. `old` and `new` are None if the field is a secret."""

    field: str
    old: str | None
    new: str | None


def kind_of(event: SecurityEvent) -> EventKind:
    """The kind of an event; for one of a later release, a kind with its bare name."""
    known = KINDS.get(event.kind)
    return known or EventKind(event.kind, Topic.LOG, event.kind, f"{event.kind}: %(object)s")


def sentence(event: SecurityEvent) -> str:
    """What happened, as one sentence."""
    values: dict[str, str] = defaultdict(lambda: "?", {name: _shown(value) for name, value in event.details.items()})
    values |= {
        "actor": actor(event),
        "object": apart(event.object_text) or _("an unknown name"),
        "address": event.address or _("an unknown address"),
    }
    said = str(kind_of(event).sentence) % values
    if times := event.details.get("times"):
        said = _("%(sentence)s (%(times)s times within a minute)") % {"sentence": said, "times": times}
    return said


def actor(event: SecurityEvent) -> str:
    """Who did it. All sentences begin with it, so it has a capital."""
    if event.actor_name == SecurityEvent.SYSTEM and event.actor_id is None:
        return _("A command or a worker")
    return apart(event.actor_name) or _("Somebody who was not signed in")


def altered(event: SecurityEvent) -> list[Altered]:
    """The fields that the event changed, with their old and new values. None whose value was and is empty."""
    fields = event.details.get("fields")
    if not isinstance(fields, Mapping):
        return []
    found = [
        Altered(_label(event.object_type, name), *((None, None) if value == CHANGED else map(_value, value)))
        for name, value in sorted(fields.items())  # PostgreSQL does not keep the order
    ]
    return [each for each in found if each.old is None or each.old != each.new]


def _label(model: str, name: str) -> str:
    """The label of a field of the object, or of what is not stored with the object itself."""
    if name in LABELS:
        return str(LABELS[name])
    try:
        return str(apps.get_model(model)._meta.get_field(name).verbose_name)
    except (LookupError, ValueError, FieldDoesNotExist):
        return name


def reason(event: SecurityEvent) -> str:
    return str(event.details.get("reason", ""))


def _shown(value: object) -> str:
    return apart(", ".join(map(str, value)) if isinstance(value, list) else value)


def _value(value: object) -> str:
    if value is None or value in ("", []):
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
