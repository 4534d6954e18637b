"""The operation that becomes of what a partner said in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..templating.faults import EvaluationFailed
from ..templating.templates import bounded_together, evaluated
from ..templating.values import OMIT, Unusable, as_text
from .shapes import OperationTemplate

# The idempotency key, and the body of POST /api/v1/operations/ without `system_id`.
Operation = tuple[str | None, dict[str, Any]]
_TEXTS = ("operation", "external_id", "external_url", "external_status", "change_number")


@bounded_together()
def operation_from(template: OperationTemplate, names: Mapping[str, Any]) -> Operation:
    """The operation with its key, which is None without one. Numbers become texts where the API takes texts.

    Raises EvaluationFailed.
    """
    body = {}
    for name, value in template.body.items():
        found = evaluated(value, names)
        if found is OMIT:
            continue
        is_number = isinstance(found, int | float) and not isinstance(found, bool)
        body[name] = as_text(found) if name in _TEXTS and is_number else found
    return operation_key(template, names), body


def operation_key(template: OperationTemplate, names: Mapping[str, Any]) -> str | None:
    """The key; None without one. Raises EvaluationFailed."""
    try:
        return as_text(evaluated(template.key, names)) or None
    except Unusable as error:
        raise EvaluationFailed(f"{template.path}.key", str(error)) from None
