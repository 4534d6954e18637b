"""Which attachments a page may show, decided by what is in the file, never by what its sender says of it."""

from __future__ import annotations

import logging

from changes.models import Attachment

logger = logging.getLogger(__name__)

PDF = "application/pdf"
IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
# A browser that guesses looks at less than this.
HEAD_BYTES = 4096
# What a browser that guesses might take for a page. A file with one of them at its head is only downloaded, even where
# it is an image as well.
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?xml")


def media_type_of(head: bytes) -> str:
    """The type to show it as, told by the first `HEAD_BYTES` of the file; empty for what is only downloaded."""
    if any(tag in head.lower() for tag in _MARKUP):
        return ""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    return PDF if head.startswith(b"%PDF-") else ""


def media_type(attachment: Attachment) -> str:
    """As `media_type_of`, read from the storage; empty too when the file is missing there."""
    try:
        with attachment.file.storage.open(attachment.file.name or "", "rb") as file:
            return media_type_of(file.read(HEAD_BYTES))
    except OSError as error:
        logger.warning("The file of attachment %s cannot be read: %s", attachment.pk, error)
        return ""
