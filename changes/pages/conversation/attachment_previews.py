"""Which attachments a page may show. The content of the file decides, never the type that its sender gave."""

from __future__ import annotations

import logging

from changes.models import Attachment

logger = logging.getLogger(__name__)

PDF = "application/pdf"
IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
# Browsers that guess the type of a file read fewer bytes than this.
HEAD_BYTES = 4096
# A browser that guesses might take a file with these for a page. Such a file is only offered for download, even if it
# is also a valid image.
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?xml")


def media_type_of(head: bytes) -> str:
    """The media type to show a file with, from its first `HEAD_BYTES`; "" if it may only be downloaded."""
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
    """The result of `media_type_of()` for the stored file; "" also if the file cannot be read."""
    try:
        with attachment.file.storage.open(attachment.file.name or "", "rb") as file:
            return media_type_of(file.read(HEAD_BYTES))
    except OSError as error:
        logger.warning("The file of attachment %s cannot be read: %s", attachment.pk, error)
        return ""
