"""Finds the change that an incoming operation is about, and its external reference."""

from __future__ import annotations

from changes.models import Change
from integrations.access import reachable
from integrations.models import ExternalReference, ExternalSystem

from .request import IncomingRequest, OperationRefused


def find(request: IncomingRequest) -> tuple[Change, ExternalReference | None]:
    """Locks and returns the change that the operation names, and the partner's reference to it, None if there is none.

    Raises OperationRefused if there is no such change, if the partner may not reach it (404, so as not to reveal that
    it exists), or if the change's number and the external id disagree.
    """
    changes = Change.objects.locked()
    if request.change_number:
        attr, changes = "change_number", reachable([request.system], changes).filter(number=request.change_number)
    else:
        # No check of reachability: a reference makes the change reachable.
        attr, changes = (
            "external_id",
            changes.filter(
                external_references__system=request.system, external_references__external_id=request.external_id
            ),
        )
    change = changes.first()
    # Read under the lock: the reference may have been deleted while this waited for it.
    reference = reference_of(request.system, change) if change else None
    if change is None or not (reference or request.change_number):
        raise OperationRefused(404, "not_found", "There is no such change.", attr)
    if request.change_number and request.external_id:
        _refuse_disagreement(request, change, reference)
    return change, reference


def _refuse_disagreement(request: IncomingRequest, change: Change, reference: ExternalReference | None) -> None:
    if reference is None:
        refuse_taken(request)
    elif reference.external_id != request.external_id:
        raise OperationRefused(
            409,
            "external_id_mismatch",
            f"{change.number} has another external id: {reference.external_id}.",
            "external_id",
        )


def refuse_taken(request: IncomingRequest) -> None:
    """Raises OperationRefused if the partner's external id belongs to a change already."""
    taken = (
        ExternalReference.objects.select_related("change")
        .filter(system=request.system, external_id=request.external_id)
        .first()
    )
    if taken:
        raise OperationRefused(
            409,
            "external_id_taken",
            f"The external id {request.external_id} already belongs to {taken.change.number}.",
            "external_id",
        )


def reference_of(system: ExternalSystem, change: Change) -> ExternalReference | None:
    reference = ExternalReference.objects.filter(system=system, change=change).first()
    if reference:
        reference.system = system  # loaded already
    return reference
