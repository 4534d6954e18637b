"""What the partner's registration allows it to do with a change: rule 8 of section 4."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from changes.choices import Phase
from changes.models import Change
from changes.texts.lines import as_line
from integrations.choices import IncomingKind

from .request import IncomingRequest, OperationRefused


def refuse_forbidden(request: IncomingRequest, change: Change) -> None:
    """Raises OperationRefused (403) that names all that the partner may not do. `change` is not altered yet.

    A value that the change has already is no setting, just as its current phase is no transition.
    """
    errors: dict[str, str] = {}
    if request.operation in (IncomingKind.CREATE, IncomingKind.UPDATE):
        errors |= _forbidden_fields(request, change)
        errors |= _forbidden_type(request, change)
        errors |= _forbidden_move(request, change, request.properties.get("phase"), "properties.phase")
    elif request.operation == IncomingKind.CANCEL:
        errors |= _forbidden_move(request, change, Phase.ABANDON, "operation")
    if errors:
        raise OperationRefused(403, "permission_denied", " ".join(dict.fromkeys(errors.values())), errors=errors)


def _forbidden_fields(request: IncomingRequest, change: Change) -> dict[str, str]:
    settable = request.system.settable_fields
    if settable is None:
        return {}
    return {
        f"properties.{name}": f"{request.system} may not set {name}. {_allowed(settable)}"
        for name, value in request.properties.items()
        if name != "phase" and name not in settable and _differs(change, name, value)
    }


def _differs(change: Change, name: str, value: Any) -> bool:
    field: Any = Change._meta.get_field(name)
    present = getattr(change, field.attname)
    if name in Change.LINES:
        present = as_line(present)
    return bool(present != (value.pk if hasattr(value, "pk") else value))


def _forbidden_type(request: IncomingRequest, change: Change) -> dict[str, str]:
    wanted = request.properties.get("change_type", change.change_type)
    is_given = request.operation == IncomingKind.CREATE or wanted != change.change_type
    if not is_given or wanted in request.system.change_types:
        return {}
    text = f"{request.system} may not give a change the type {wanted}. {_allowed(request.system.change_types)}"
    return {"properties.change_type": text}


def _forbidden_move(request: IncomingRequest, change: Change, target: str | None, attr: str) -> dict[str, str]:
    targets = request.system.transitions
    if targets is None or target in (None, change.phase, *targets):
        return {}
    return {attr: f"{request.system} may not move a change to {target}. {_allowed(targets)}"}


def _allowed(values: Iterable[str]) -> str:
    return f"Allowed: {', '.join(values) or 'none'}."
