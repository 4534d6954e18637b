"""The settings of an SMAX adapter as the form and the configuration file write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError

from integrations.choices import UnknownProperties
from integrations.smax.registration import DEFAULT_TYPES, validate


def whole(smax: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults filled in."""
    return {
        "entity_types": smax.get("entity_types") or [*DEFAULT_TYPES],
        "values": smax.get("values") or {},
        "unknown_properties": smax.get("unknown_properties") or UnknownProperties.IGNORE.value,
    }


def stored(smax: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a system keeps them: those that differ from the defaults."""
    usual = whole({})
    return {name: value for name, value in whole(smax).items() if value != usual[name]}


def faults(smax: object) -> Iterator[tuple[list[str], str]]:
    """What is wrong with the settings: for each fault its path, such as `["values", "PhaseId"]`, and the message."""
    try:
        validate(smax)
    except ValidationError as error:
        for fault in error.error_list:
            params: Any = fault.params
            path = [] if params["path"] == "smax" else params["path"].split(".")
            yield path, params["message"]
