"""Serializer fields that accept only a JSON value of the right type, and convert no other type to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from django.core.validators import ProhibitNullCharactersValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from changes.models import SupportGroup
from changes.texts.lines import as_line
from changes.texts.timestamps import timestamp
from changes.validators import FIRST_YEAR, LAST_YEAR, is_blank, is_possible, validate_identifier, validate_text

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?"
)
_SLOW_VALIDATORS = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)
# A limit, so that a body with a million unknown fields does not get a million errors.
MOST_UNKNOWN_NAMED = 20


def parse_timestamp(text: str) -> datetime:
    """The time, in UTC, from an RFC 3339 text with an offset. Raises ValueError with a message for the caller."""
    match = _RFC3339.fullmatch(text)
    if not match:
        raise ValueError("Give a time as RFC 3339 has it, such as 2026-11-24T09:30:00Z.")
    *numbers, fraction, zulu, sign, hours, minutes = match.groups()
    if not zulu and not sign:
        raise ValueError("The time has no offset: end it with Z for UTC, or with one such as +01:00.")
    try:
        offset = "+00:00" if zulu else f"{sign}{hours}:{minutes}"
        date, time = "-".join(numbers[:3]), ":".join(numbers[3:])
        moment = datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{offset}")
    except ValueError as error:
        raise ValueError("There is no such date or time.") from error
    if not is_possible(moment):
        raise ValueError(f"The year must lie between {FIRST_YEAR} and {LAST_YEAR}.")
    return moment.astimezone(UTC)


class TextField(serializers.CharField):
    """A JSON string, kept unaltered: numbers are refused, white space stays."""

    default_error_messages = {"invalid": "Give a text, as a JSON string."}

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)
        # It replaces the library's validators, which loop over each character in Python.
        self.validators = [each for each in self.validators if not isinstance(each, _SLOW_VALIDATORS)]
        self.validators.append(validate_text)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data

    def run_validation(self, data: object = serializers.empty) -> Any:
        if not self.allow_blank and isinstance(data, str) and is_blank(data):
            self.fail("blank")
        return super().run_validation(data)


class LineField(TextField):
    """A one-line text, which `as_line()` tidies."""

    def run_validation(self, data: object = serializers.empty) -> Any:
        return super().run_validation(as_line(data) if isinstance(data, str) else data)


class IdentifierField(TextField):
    """An identifier, normalized to Unicode's NFC and otherwise unaltered. See `validate_identifier()`."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.validators.append(validate_identifier)

    def run_validation(self, data: object = serializers.empty) -> Any:
        return super().run_validation(unicodedata.normalize("NFC", data) if isinstance(data, str) else data)


class OneOfField(serializers.ChoiceField):
    """One of the given texts, compared exactly. The error lists them."""

    default_error_messages = {"invalid_choice": "Give one of: {names}."}

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str) or data not in self.choice_strings_to_values:
            self.fail("invalid_choice", names=", ".join(self.choice_strings_to_values))
        return str(data)


class WholeNumberField(serializers.IntegerField):
    """A whole number. Refuses texts, fractions and booleans. (In Python, bool is a subclass of int.)"""

    default_error_messages = {"invalid": "Give a whole number."}

    def to_internal_value(self, data: object) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class SwitchField(serializers.BooleanField):
    """True or false. Refuses "yes" and 1 instead of converting them."""

    default_error_messages = {"invalid": "Give true or false."}

    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


@extend_schema_field(OpenApiTypes.DATETIME)
class TimestampField(serializers.Field):
    """A time in RFC 3339. When read, it must have an offset, of any size; it is written in UTC."""

    default_error_messages = {"invalid": "Give a time as a JSON string, such as 2026-11-24T09:30:00Z."}

    def to_internal_value(self, data: object) -> datetime:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return parse_timestamp(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from error

    def to_representation(self, value: datetime) -> str:
        return timestamp(value)


@extend_schema_field(OpenApiTypes.STR)
class GroupNameField(serializers.Field):
    """A support group by its name."""

    default_error_messages = {
        "invalid": "Give the group's name, as a JSON string.",
        "does_not_exist": "There is no group named {name}.",
    }

    def to_internal_value(self, data: object) -> SupportGroup:
        if not isinstance(data, str):
            self.fail("invalid")
        data = as_line(data)
        # Impossible names are not looked up, because PostgreSQL raises an error for a NUL.
        group = self.find(data) if 0 < len(data) <= 200 and "\x00" not in data else None
        if group is None:
            self.fail("does_not_exist", name=data if len(data) <= 200 else f"{data[:200]}…")
        return group

    def find(self, name: str) -> SupportGroup | None:
        return SupportGroup.objects.filter(name=name).first()

    def to_representation(self, value: SupportGroup) -> str:
        return value.name


class StrictSerializer(serializers.Serializer):
    """A serializer that reports unknown fields as errors, together with all other errors."""

    default_error_messages = {"invalid": "Give a JSON object."}

    def to_internal_value(self, data: object) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            errors = self._unknown(data)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            # The detail of an object's errors is a dict by field.
            raise serializers.ValidationError({**errors, **cast(dict[str, Any], error.detail)}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return value

    def explain_unknown(self, name: str, known: str) -> str:
        """The error message for an unknown field `name`. `known` lists the known ones."""
        return f"There is no such field here. Known: {known}."

    def _unknown(self, data: Mapping[str, Any]) -> dict[str, Any]:
        known = [str(field.field_name) for field in self._writable_fields]
        unknown = [name for name in data if name not in known]
        names = ", ".join(known)
        return {
            name: [serializers.ErrorDetail(self.explain_unknown(name, names), code="unknown_field")]
            for name in unknown[:MOST_UNKNOWN_NAMED]
        }
