"""Files that adapters upload. A later write makes one an attachment of a change, with the same stored file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as InvalidModel
from django.core.files import File
from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from changes.api.exceptions import Unavailable
from changes.files.scanning import NotScanned
from changes.models import Attachment, Change
from changes.validators import validate_attachment, validate_file_name
from integrations.access import reachable
from integrations.incoming import OperationRefused, quota
from integrations.models import ExternalSystem, SmaxUpload

NAME_MAX_LENGTH = 255
KEPT = timedelta(days=1)
# Files that one sweep drops.
MOST_DROPPED = 1000
LARGEST_KEY = 2**63 - 1


def store(system: ExternalSystem, file: File[bytes], file_name: str, content_type: str) -> SmaxUpload:
    """Keeps a valid file, within the system's quota. Raises OperationRefused if that is used up."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    described = {"file_name": file_name, "content_type": content_type, "size": file.size, "sha256": digest}
    upload = SmaxUpload(system=system, file=File(file, name="upload"), **described)
    try:
        with transaction.atomic():
            quota.take(system, upload.size)
            upload.save(force_insert=True)
    except BaseException:
        if getattr(upload.file, "_committed", False):
            upload.file.storage.delete(upload.file.name or "")
        raise
    return upload


def check(file: File[bytes], field: str) -> None:
    """Raises an APIException for a file that is not taken: empty, too large, a program, refused by the scanner."""
    try:
        validate_attachment(file)
    except NotScanned as error:
        raise Unavailable(error.messages[0], error.code) from error
    except InvalidModel as error:
        raise ValidationError({field: error.messages}) from error


def check_name(name: str) -> None:
    """Raises ValidationError for a name that no attachment may have."""
    try:
        validate_file_name(name)
    except InvalidModel as error:
        raise ValidationError({"fs_filename": error.messages}) from error
    if len(name) > NAME_MAX_LENGTH:
        raise ValidationError({"fs_filename": [f"It has {len(name)} characters; at most {NAME_MAX_LENGTH} are taken."]})


# --- Linking ---


@dataclass(frozen=True)
class _Named:
    """A file that a write names: its guid, the property that names it, and the systems of the caller."""

    guid: UUID
    field: str
    systems: Sequence[ExternalSystem]

    def refused(self, attachment: Attachment | None = None) -> OperationRefused:
        """Why the change cannot have it. `attachment`: what it is on another change, which the caller may not reach."""
        if attachment is None or not reachable(self.systems).filter(pk=attachment.change_id).exists():
            return OperationRefused(404, "not_found", f"There is no file {self.guid} that you may use.", self.field)
        message = (
            f"The file {self.guid} belongs to {attachment.change.number} already. Upload it again for this change."
        )
        return OperationRefused(409, "of_another_change", message, self.field)


def linking(guids: Iterable[UUID], systems: Sequence[ExternalSystem], field: str) -> list[dict[str, Any]]:
    """The attachments of an `IncomingRequest` for these files. Those that the change has already are not added again.

    Raises OperationRefused: 404 for one that the caller may not use, 409 for one of another change. `field`: the
    property that names the files.
    """
    wanted = list(dict.fromkeys(guids))
    if not wanted:
        return []
    uploads = {upload.guid: upload for upload in SmaxUpload.objects.filter(guid__in=wanted)}
    own = {system.pk for system in systems}
    sent = []
    for guid in wanted:
        named, upload = _Named(guid, field, systems), uploads.get(guid)
        if upload is not None and upload.attachment_id is None and upload.system_id in own:
            sent.append(_link(upload, named))
        else:
            sent.append({"unless": partial(_is_on, guid.int if upload is None else upload.attachment_id, named)})
    return sent


def _link(upload: SmaxUpload, named: _Named) -> dict[str, Any]:
    file: Any = upload.file
    try:
        file.open("rb")
    except FileNotFoundError as error:
        raise named.refused() from error
    check(file, named.field)
    return {
        "file": file,
        "file_name": upload.file_name,
        "content_type": upload.content_type,
        "is_stored": True,
        "unless": partial(_is_linked, named),
        "then": partial(_linked, named),
    }


def _is_on(key: int | None, named: _Named, change: Change) -> bool:
    """Whether the attachment with this key belongs to the change. Raises OperationRefused if not."""
    if key is None or key > LARGEST_KEY:
        raise named.refused()
    attachment = Attachment.objects.select_related("change").filter(pk=key).first()
    if attachment is None or attachment.change_id != change.pk:
        raise named.refused(attachment)
    return True


def _is_linked(named: _Named, change: Change) -> bool:
    """Whether another write has linked the upload to this change meanwhile."""
    upload = SmaxUpload.objects.filter(pk=named.guid).select_related("attachment__change").first()
    if upload is None or (upload.attachment and upload.attachment.change_id != change.pk):
        raise named.refused(upload.attachment if upload else None)
    return upload.attachment is not None


def _linked(named: _Named, attachment: Attachment) -> None:
    if not SmaxUpload.objects.filter(pk=named.guid, attachment=None).update(attachment=attachment):
        # Dropped, or linked by another write, meanwhile.
        raise named.refused(Attachment.objects.filter(smax_upload=named.guid).select_related("change").first())


def close(sent: Iterable[Mapping[str, Any]]) -> None:
    """Closes the files that `linking()` opened."""
    for each in sent:
        if "file" in each:
            each["file"].close()


# --- The sweep ---


def drop_unlinked() -> int:
    """Drops uploads that were not linked in time, with their files. Returns how many."""
    old = SmaxUpload.objects.filter(attachment=None, uploaded_at__lt=timezone.now() - KEPT)
    return sum(_drop(upload) for upload in old.order_by("uploaded_at")[:MOST_DROPPED])


def _drop(upload: SmaxUpload) -> bool:
    with transaction.atomic():
        if not SmaxUpload.objects.filter(pk=upload.pk, attachment=None).delete()[0]:
            return False  # linked meanwhile
        quota.give_back(upload.system_id, upload.size)
        transaction.on_commit(lambda: upload.file.storage.delete(upload.file.name or ""))
    return True
