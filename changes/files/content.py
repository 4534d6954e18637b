"""What a file is by its first bytes. Its name and the type that its sender gave decide nothing."""

from __future__ import annotations

from django.core.files import File

PDF = "application/pdf"
IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
# Browsers that guess the type of a file read fewer bytes than this.
HEAD_BYTES = 4096
# A browser that guesses might take a file with these for a page. Such a file is only offered for download, even if it
# is also a valid image.
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<iframe", b"<svg", b"<?xml")
# Files that a double click runs: Windows, Linux, macOS (both byte orders, 32 and 64 bits, and several in one), and
# shortcuts and compiled Java, which run what they name. Scripts are texts, and part of many an implementation plan.
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xca\xfe\xba\xbf",
    b"[InternetShortcut]",
    b"[Desktop Entry]",
    b"L\x00\x00\x00\x01\x14\x02\x00",
)
# What a file whose name ends so must be by its content.
_NAMED = {
    "pdf": PDF,
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}


def head_of(file: File[bytes]) -> bytes:
    """The first `HEAD_BYTES` of a file that is being uploaded, which is then at its beginning."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


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


def is_program(head: bytes) -> bool:
    """Whether the file is a program, whatever its name."""
    if head.startswith(b"MZ"):
        # A text may begin so. The header of a program has bytes that no text has.
        return b"\x00" in head[:64]
    return head.startswith(_PROGRAMS)


def is_misnamed(name: str, media_type: str) -> bool:
    """Whether the name says image or PDF, and `media_type`, from the content, is another or none."""
    return _NAMED.get(name.rpartition(".")[2].lower(), media_type) != media_type
