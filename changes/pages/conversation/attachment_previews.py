"""Which attachments a page may show. The content of the file decides, never the type that its sender gave."""

from __future__ import annotations

import logging

from changes.files.content import HEAD_BYTES, media_type_of
from changes.models import Attachment

logger = logging.getLogger(__name__)


def media_type(attachment: Attachment) -> str:
    """The result of `media_type_of()` for the stored file; "" also if the file cannot be read."""
    try:
        with attachment.file.storage.open(attachment.file.name or "", "rb") as file:
            return media_type_of(file.read(HEAD_BYTES))
    except OSError as error:
        logger.warning("The file of attachment %s cannot be read: %s", attachment.pk, error)
        return ""
