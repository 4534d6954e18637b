"""How much the files of a partner may take here in all (PARTNER_FILES_MAX_BYTES)."""

from __future__ import annotations

from http import HTTPStatus

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Greatest

from integrations.models import ExternalSystem, PartnerStorage

from .request import OperationRefused


def take(system: ExternalSystem, size: int) -> None:
    """Counts `size` bytes of files within the transaction that stores them. Raises OperationRefused if it is too much.

    One statement checks and counts, so that two operations at once cannot exceed the quota together.
    """
    most = settings.PARTNER_FILES_MAX_BYTES
    room = Q(bytes__lte=most - size) if most else Q()
    if PartnerStorage.objects.filter(room, system=system).update(bytes=F("bytes") + size):
        return
    row, _ = PartnerStorage.objects.get_or_create(system=system)
    if not most or row.bytes + size <= most:
        take(system, size)  # it was the first one
        return
    detail = (
        f"The files of {system} take {row.bytes} bytes here, and at most {most} are kept. "
        "Ask the service desk to raise the limit, or send a link instead."
    )
    raise OperationRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "files_quota", detail, "attachments")


def give_back(system_id: int, size: int) -> None:
    """Counts `size` bytes no more, whose files were dropped."""
    PartnerStorage.objects.filter(system=system_id).update(bytes=Greatest(F("bytes") - size, 0))
