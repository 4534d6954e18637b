"""Systems, groups and users as a file: `load()` applies a file to the database, `dump()` writes one.

Anything that the file does not name stays as it is. A list that it names (members, roles) becomes exactly that list.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Model, Q

from changes.choices import Role
from changes.models import SupportGroup
from changes.security_log.recording import NOTHING, record
from integrations.choices import COLLECTING, Delivery
from integrations.connections import revisions, secrets
from integrations.models import ExternalGroup, ExternalSystem, PartnerAccount
from integrations.outgoing import outbox

from . import adapter_password, smax_settings
from .configuration_file import Configuration, ConfigurationError, Entry, escape, read

__all__ = ["ConfigurationError", "dump", "load"]

# Keys for which null means all.
_ALL_IF_NONE = frozenset({"settable_fields", "transitions"})
# Keys whose values are never shown; only the fact that they changed is.
_SECRETS = frozenset({"signing_secret"})
_MAPPED = "Only a system with delivery: mapped has a connection."
LOADED = "Loaded from a file"
_SMAX = "Only the adapter of an SMAX signs in with a password: with delivery: smax."


def load(text: str, environment: Mapping[str, str]) -> list[str]:
    """Creates or updates what the file names, in one transaction. Returns the changes, one text each; [] if none.

    `environment` supplies the values of `${NAME}`. Raises ConfigurationError; then nothing was changed.
    """
    configuration = read(text, environment)
    with transaction.atomic():
        done = [*_users(configuration), *_systems(configuration), *_groups(configuration)]
        record("configuration_loaded", NOTHING, {"count": len(done)})
    return done


def _partners(configuration: Configuration) -> set[str]:
    """The names of the users that the file makes the authorized users of systems."""
    named = (entry.values.get("authorized_user") for entry in configuration.external_systems)
    return {str(username) for username in named if username}


def _save(entry: Entry, row: Model, fields: Iterable[str] | None = None) -> None:
    try:
        row.full_clean()
    except ValidationError as error:
        faults = [
            (entry.at("" if field == NON_FIELD_ERRORS else field), " ".join(messages))
            for field, messages in error.message_dict.items()
        ]
        raise ConfigurationError(*faults) from error
    row.save(update_fields=fields)


def _texts(entry: Entry, key: str) -> list[str]:
    """A list of texts, without repetitions."""
    texts: Any = entry.values[key]
    return [*dict.fromkeys(texts)]


# --- Users ---


def _users(configuration: Configuration) -> list[str]:
    done, partners = [], _partners(configuration)
    for entry in configuration.users:
        user = get_user_model().objects.filter(username=entry.name).first()
        if user is None:
            user = _new_user(entry, "username", entry.name, is_partner=entry.name in partners)
            done.append(f"created user {entry.name}, without a password")
        if "roles" in entry.values:
            done += _set_roles(entry, user)
    return done


def _new_user(entry: Entry, key: str, username: str, is_partner: bool) -> Any:
    other = get_user_model().objects.filter(username__iexact=username).first()
    if other is not None:
        raise entry.error(key, f"There is already a user {other.get_username()}: only upper and lower case differ.")
    user = get_user_model()(username=username)
    user.set_unusable_password()
    _save(entry, user)
    if is_partner:
        PartnerAccount.objects.create(user=user)
    return user


def _set_roles(entry: Entry, user: User) -> list[str]:
    wanted = _texts(entry, "roles")
    present = [*user.groups.filter(name__in=Role.values).values_list("name", flat=True)]
    added = [role for role in wanted if role not in present]
    removed = [role for role in present if role not in wanted]
    try:
        user.groups.add(*Group.objects.filter(name__in=added))
    except ValidationError as error:
        raise entry.error("roles", " ".join(error.messages)) from error
    user.groups.remove(*Group.objects.filter(name__in=removed))
    return [
        *(f"user {user.get_username()}: gave the role {role}" for role in added),
        *(f"user {user.get_username()}: took the role {role}" for role in removed),
    ]


# --- External systems ---


def _systems(configuration: Configuration) -> list[str]:
    done = []
    for entry in configuration.external_systems:
        done += _system(entry)
    return done


def _system(entry: Entry) -> list[str]:
    done = []
    system = ExternalSystem.objects.filter(system_id=entry.name).first()
    is_new = system is None
    system = system or ExternalSystem(system_id=entry.name)
    values = dict(entry.values)
    password, document, given_secrets = (values.pop(key, None) for key in ("password", "connection", "secrets"))
    if username := str(values.pop("authorized_user", "")):
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            user = _new_user(entry, "authorized_user", username, is_partner=True)
            done.append(f"created user {username}{'' if password else ', without a password'}")
        values["authorized_user"] = user
    elif is_new:
        raise entry.error(
            "authorized_user", "A new system needs this: the local user that the partner's requests act as."
        )
    if is_new:
        told = [f"created external system {entry.name}"]
    else:
        values = {key: value for key, value in values.items() if getattr(system, key) != value}
        told = [f"external system {entry.name}: {_told(system, key, value)}" for key, value in values.items()]
    for key, value in values.items():
        setattr(system, key, value)
    if told:
        # Saves only what the file changes: a worker may be pausing the system at this moment.
        _save(entry, system, None if is_new else values)
    if password is not None:
        told += _set_password(entry, system, str(password))
    if given_secrets is not None or document is not None:
        told += _connect(entry, system, given_secrets, document)
    return [*done, *told]


def _set_password(entry: Entry, system: ExternalSystem, password: str) -> list[str]:
    """Sets the password of the authorized user, unless it is that already."""
    user = system.authorized_user
    if system.delivery != Delivery.SMAX:
        raise entry.error("password", _SMAX)
    if user.check_password(password):
        return []
    try:
        revoked = adapter_password.replace(system, password)
    except ValidationError as error:
        raise entry.error("password", " ".join(error.messages)) from error
    told = f"user {user.get_username()}: the password was set"
    return [told + (f"; {revoked} API token(s) were revoked" if revoked else "")]


def _connect(entry: Entry, system: ExternalSystem, given: Any, document: Any) -> list[str]:
    """Writes the secrets of a mapped system, and activates its connection's document if it is another."""
    if system.delivery != Delivery.MAPPED:
        raise entry.error("connection" if document is not None else "secrets", _MAPPED)
    told = [f"external system {entry.name}: secret {name} was written" for name in secrets.write(system, given or {})]
    if document is not None and (revision := revisions.activate(system, document, None, LOADED)):
        told.append(f"external system {entry.name}: revision {revision.number} of its connection is active")
    return told


def _told(system: ExternalSystem, key: str, value: object) -> str:
    if key in _SECRETS:
        return f"{key} was {'set anew' if value else 'removed'}"
    if key == "enabled":
        return f"enabled it{_waiting(system, system.delivery)}" if value else "disabled it"
    if key == "delivery":
        return f"delivery is now {value}, was {system.delivery}{_waiting(system, str(value))}"
    is_all_if_none = key in _ALL_IF_NONE
    now, was = ("all" if each is None and is_all_if_none else _written(each) for each in (value, getattr(system, key)))
    return f"{key} is now {now}, was {was}"


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return json.dumps(value) if value else "the default"
    return str(value).lower() if isinstance(value, bool) else str(value or "empty")


def _waiting(system: ExternalSystem, delivery: str) -> str:
    """What to tell about the operations that flow now, by this way of delivery; "" if there are none."""
    waiting = outbox.unsettled(system)
    oldest, count = waiting.first(), waiting.count()
    if oldest is None:
        return ""
    go = "can be collected" if delivery in COLLECTING else "are sent"
    return f"; {count} waiting operation(s) {go} now, the oldest of {oldest.created_at:%Y-%m-%d %H:%M} UTC"


# --- Groups ---


def _groups(configuration: Configuration) -> list[str]:
    done = []
    for entry in configuration.groups:
        group = SupportGroup.objects.filter(name=entry.name).first()
        if group is None:
            group = SupportGroup(name=entry.name)
            _save(entry, group)
            done.append(f"created group {entry.name}")
        # What is removed comes first: a group has no members, or no external system, before it gets the other.
        steps = {"members": _set_members, "external_system": _set_system}
        named = [key for key in steps if key in entry.values]
        for key in sorted(named, key=lambda key: bool(entry.values[key])):
            try:
                done += steps[key](entry, group)
            except ValidationError as error:
                raise entry.error(key, " ".join(error.messages)) from error
        _refuse_both(entry, group)
    return done


def _refuse_both(entry: Entry, group: SupportGroup) -> None:
    """A group that has had both since an earlier release needs a decision."""
    external = ExternalGroup.objects.filter(group=group).select_related("system").first()
    if external is not None and group.members.exists():
        raise entry.error("", external.either_or())


def _set_members(entry: Entry, group: SupportGroup) -> list[str]:
    wanted = _texts(entry, "members")
    users = {user.get_username(): user for user in get_user_model().objects.filter(username__in=wanted)}
    for index, username in enumerate(wanted):
        if username not in users:
            raise entry.error(f"members[{index}]", f"There is no user {username}. Name it under users.")
    present = {user.get_username(): user for user in group.members.all()}
    added = [username for username in wanted if username not in present]
    removed = [username for username in present if username not in wanted]
    group.members.add(*(users[username] for username in added))
    group.members.remove(*(present[username] for username in removed))
    return [
        *(f"group {group}: added member {username}" for username in added),
        *(f"group {group}: removed member {username}" for username in removed),
    ]


def _set_system(entry: Entry, group: SupportGroup) -> list[str]:
    name = entry.values["external_system"]
    present = ExternalGroup.objects.filter(group=group).select_related("system").first()
    if name is None:
        if present is None:
            return []
        present.delete()
        return [f"group {group}: is no longer a group of {present.system}"]
    system = ExternalSystem.objects.filter(system_id=name).first()
    if system is None:
        raise entry.error("external_system", f"There is no external system {name}.")
    if present is not None and present.system == system:
        return []
    row = present or ExternalGroup(group=group)
    row.system = system
    _save(entry, row)
    return [f"group {group}: is now a group of {system}"]


# --- Writing the file ---


def dump() -> str:
    """YAML, as `load()` reads it, of all systems, all groups, and the users with a role or a group. Without secrets."""
    content = {
        "external_systems": [
            _system_entry(system) for system in ExternalSystem.objects.select_related("authorized_user", "connection")
        ],
        "groups": [_group_entry(group) for group in SupportGroup.objects.prefetch_related("members")],
        "users": _user_entries(),
    }
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Document(str):
    """A text of many lines, which is written line by line."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Document, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def _system_entry(system: ExternalSystem) -> dict[str, Any]:
    return {
        "system_id": escape(system.system_id),
        "description": escape(system.description),
        "authorized_user": escape(system.authorized_user.get_username()),
        "delivery": system.delivery,
        "endpoint_url": escape(system.endpoint_url),
        "max_in_flight": system.max_in_flight,
        "rate_limit": system.rate_limit,
        "enabled": system.enabled,
        "sends_markdown": system.sends_markdown,
        "change_types": system.change_types,
        "settable_fields": system.settable_fields,
        "transitions": system.transitions,
        "relays_for": system.relays_for,
        **(
            {"smax": _escaped(smax_settings.whole(system.smax))}
            if system.smax or system.delivery == Delivery.SMAX
            else {}
        ),
        **(
            {"connection": _Document(escape(system.connection.document))}
            if system.delivery == Delivery.MAPPED and system.connection
            else {}
        ),
    }


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return escape(value)


def _group_entry(group: SupportGroup) -> dict[str, Any]:
    external = ExternalGroup.objects.filter(group=group).select_related("system").first()
    return {
        "name": escape(group.name),
        "members": sorted(escape(user.get_username()) for user in group.members.all()),
        "external_system": escape(external.system.system_id) if external else None,
    }


def _user_entries() -> list[dict[str, Any]]:
    needed = Q(groups__name__in=Role.values) | Q(support_groups__isnull=False)
    users = get_user_model().objects.filter(needed).distinct().order_by("username").prefetch_related("groups")
    return [
        {
            "username": escape(user.get_username()),
            "roles": sorted(group.name for group in user.groups.all() if group.name in Role.values),
        }
        for user in users
    ]
