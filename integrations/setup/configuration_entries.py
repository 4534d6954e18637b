"""The sections and keys of the configuration file, validated by the strict fields of the API, with the same errors.

Uses no database: configuration.py checks that the users, groups and systems that the file refers to exist.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import yaml
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from changes.api.fields import (
    IdentifierField,
    LineField,
    OneOfField,
    StrictSerializer,
    SwitchField,
    TextField,
    WholeNumberField,
)
from changes.choices import Role
from changes.models import SupportGroup
from integrations.choices import Delivery
from integrations.connections.document import faults_of
from integrations.leave import CHANGE_TYPES, FIELDS, TARGETS, in_order
from integrations.models import ExternalSystem
from integrations.models.connections import SECRET_NAME
from integrations.validators import validate_endpoint_url, validate_secret, validate_system_id

from . import smax_settings

_SYSTEM, _GROUP = ExternalSystem._meta, SupportGroup._meta
USERNAME_MAX_LENGTH = 150
# As that of the sign-in: a longer one would only cost time.
PASSWORD_MAX_LENGTH = 1000
SECRET_MAX_LENGTH = 20_000  # a certificate with its chain
# The keys whose values may come from the environment, and are never printed.
SECRETS = {"signing_secret", "password"}


class UsernameField(IdentifierField):
    """A user name, normalised as the admin does: white space at the edges is removed, then NFKC is applied."""

    def __init__(self, **options: object) -> None:
        super().__init__(max_length=USERNAME_MAX_LENGTH, **options)

    def run_validation(self, data: object = serializers.empty) -> Any:
        return super().run_validation(unicodedata.normalize("NFKC", data.strip()) if isinstance(data, str) else data)


class SystemIdField(IdentifierField):
    def __init__(self, **options: object) -> None:
        super().__init__(max_length=_SYSTEM.get_field("system_id").max_length, **options)


class ChosenField(serializers.ListField):
    """A list of some of the `known` values. The errors list these."""

    def __init__(self, known: Sequence[str], **options: Any) -> None:
        self.known = known
        super().__init__(child=OneOfField([(value, value) for value in known]), **options)

    def to_internal_value(self, data: Any) -> list[str]:
        return in_order(super().to_internal_value(data), self.known)


class SmaxField(serializers.Field):
    """The settings of an SMAX adapter. The errors have the paths of the values within them."""

    default_error_messages = {"unknown": "Give an object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        nested: dict[Any, Any] = {}
        for path, message in smax_settings.faults(data):
            if not path:
                self.fail("unknown")
            at = nested
            for name in path[:-1]:
                at = at.setdefault(_place(name), {})
            at.setdefault(_place(path[-1]), []).append(message)
        if nested:
            raise serializers.ValidationError(nested)
        return smax_settings.stored(data)

    def to_representation(self, value: Any) -> Any:
        return value


class ConnectionField(serializers.Field):
    """A connection's document, as a mapping or as a text, which keeps comments. The value is the text."""

    default_error_messages = {"unknown": "Give the document as a mapping, or as a text."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str | dict):
            self.fail("unknown")
        text = data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        if faults := faults_of(text):
            # The lines of a mapping are those of another text, which nobody has seen.
            at = "line {0.line}, column {0.column} of it: " if isinstance(data, str) else ""
            told = [f"{at.format(fault)}{fault.told}" for fault in faults]
            raise serializers.ValidationError(told)
        return text

    def to_representation(self, value: Any) -> Any:
        return value


class SecretsField(serializers.DictField):
    child = TextField(allow_blank=True, max_length=SECRET_MAX_LENGTH)

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        for name in values:
            try:
                SECRET_NAME(name)
            except DjangoValidationError as error:
                raise serializers.ValidationError({name[:100]: error.messages}) from error
        return values


def _place(name: str) -> str | int:
    return int(name) if name.isdecimal() else name


class SystemEntrySerializer(StrictSerializer):
    system_id = SystemIdField()
    description = LineField(required=False, allow_blank=True, max_length=_SYSTEM.get_field("description").max_length)
    authorized_user = UsernameField(required=False)
    password = TextField(required=False, max_length=PASSWORD_MAX_LENGTH)
    delivery = OneOfField(Delivery.choices, required=False)
    endpoint_url = TextField(
        required=False,
        allow_blank=True,
        max_length=_SYSTEM.get_field("endpoint_url").max_length,
        validators=[validate_endpoint_url],
    )
    signing_secret = TextField(required=False, allow_blank=True, validators=[validate_secret])
    max_in_flight = WholeNumberField(required=False, validators=_SYSTEM.get_field("max_in_flight").validators)
    rate_limit = WholeNumberField(
        required=False, allow_null=True, validators=_SYSTEM.get_field("rate_limit").validators
    )
    enabled = SwitchField(required=False)
    sends_markdown = SwitchField(required=False)
    change_types = ChosenField(CHANGE_TYPES, required=False)
    settable_fields = ChosenField(FIELDS, required=False, allow_null=True)
    transitions = ChosenField(TARGETS, required=False, allow_null=True)
    relays_for = serializers.ListField(child=SystemIdField(validators=[validate_system_id]), required=False)
    smax = SmaxField(required=False)
    connection = ConnectionField(required=False)
    secrets = SecretsField(required=False)


class GroupEntrySerializer(StrictSerializer):
    name = LineField(max_length=_GROUP.get_field("name").max_length)
    members = serializers.ListField(child=UsernameField(), required=False)
    external_system = SystemIdField(required=False, allow_null=True)


class UserEntrySerializer(StrictSerializer):
    username = UsernameField()
    roles = serializers.ListField(child=OneOfField(Role.choices), required=False)


class ConfigurationSerializer(StrictSerializer):
    """The whole file. `NAMES` has the field by which an entry is named."""

    external_systems = SystemEntrySerializer(many=True, required=False, allow_null=True)
    groups = GroupEntrySerializer(many=True, required=False, allow_null=True)
    users = UserEntrySerializer(many=True, required=False, allow_null=True)


NAMES = {"external_systems": "system_id", "groups": "name", "users": "username"}
