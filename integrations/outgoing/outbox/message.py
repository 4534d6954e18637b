"""The message to the partner: the operation as it was recorded, with the external reference as it is now."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from changes.texts.timestamps import timestamp
from integrations import statements
from integrations.models import ExternalReference, OutgoingOperation
from integrations.outgoing import payloads

References = dict[tuple[int, int], ExternalReference]


def references_of(operations: Collection[OutgoingOperation]) -> References:
    """The external references for the messages of these operations, by the keys of change and system."""
    systems = {operation.system_id: operation.system for operation in operations}
    changes = {operation.change_id for operation in operations}
    if not operations:
        return {}
    rows = statements.references_of(changes, systems)
    for row in rows:
        row.system = systems[row.system_id]
    return {(row.change_id, row.system_id): row for row in rows}


def message(operation: OutgoingOperation, references: References | None = None) -> dict[str, Any]:
    """The message of this operation if it were sent now. `references`: those of several operations, read before."""
    known = references_of([operation]) if references is None else references
    reference = known.get((operation.change_id, operation.system_id))
    return {**_envelope(operation, reference), **operation.whole_payload}


def body(operation: OutgoingOperation) -> bytes:
    """The message of a claimed operation, encoded as JSON. The recorded payload is JSON text already and is copied."""
    head = _envelope(operation, operation.reference)
    if operation.shared:
        head["change"] = json.loads(operation.shared)["change"]
    envelope = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    return f"{envelope[:-1]},{operation.recorded[1:]}".encode()


def _envelope(operation: OutgoingOperation, reference: ExternalReference | None) -> dict[str, Any]:
    return {
        "id": str(operation.pk),
        "operation": operation.operation,
        "system_id": operation.system.system_id,
        "sequence": operation.sequence,
        "created_at": timestamp(operation.created_at),
        "origin": operation.cause.origin if operation.cause else None,
        "external_reference": payloads.reference_snapshot(reference) if reference else None,
    }
