"""What goes to the partner: the operation as it was recorded, with the external reference as it is now."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from changes.timestamps import timestamp

from .. import payloads
from ..models import ExternalReference, OutgoingOperation

References = dict[tuple[int, int], ExternalReference]


def references_of(operations: Collection[OutgoingOperation]) -> References:
    """The external references that their messages name, by the keys of change and system."""
    systems = {operation.system_id: operation.system for operation in operations}
    changes = {operation.change_id for operation in operations}
    rows = list(ExternalReference.objects.filter(change__in=changes, system__in=systems).order_by())
    for row in rows:
        row.system = systems[row.system_id]
    return {(row.change_id, row.system_id): row for row in rows}


def message(operation: OutgoingOperation, references: References | None = None) -> dict[str, Any]:
    """The operation as the partner receives it. `references`: those of many, where they were read at once."""
    found = references_of([operation]) if references is None else references
    reference = found.get((operation.change_id, operation.system_id))
    payload = operation.payload
    return {
        "id": str(operation.pk),
        "operation": operation.operation,
        "system_id": operation.system.system_id,
        "sequence": operation.sequence,
        "created_at": timestamp(operation.created_at),
        "origin": operation.cause.origin if operation.cause else None,
        "change": payload["change"],
        "changed_fields": payload["changed_fields"],
        "external_reference": payloads.reference_snapshot(reference) if reference else None,
        "comment": payload["comment"],
        "attachment": payload["attachment"],
    }
