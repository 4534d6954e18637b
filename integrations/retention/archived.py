"""The archive: JSON lines, compressed, a file for each kind and day. A batch is on the disk before its rows go."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils import timezone

CHUNK = 1024 * 1024
# The length of the file to which this process wrote last: if it still has it, all of its members are whole.
_whole: dict[Path, int] = {}


def values_of(row: Model) -> dict[str, Any]:
    """All columns of a row."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def write(kind: str, lines: Iterable[Mapping[str, Any]]) -> None:
    """Appends a batch to today's file of the kind, as a gzip member of its own. Does nothing without an archive.

    If the rows are not removed after all, they are archived once more: a reader goes by their ids.
    """
    if not settings.RETENTION_ARCHIVE:
        return
    text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    folder = _folder()
    file = folder / f"{kind}-{timezone.now():%Y-%m-%d}.jsonl.gz"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as output:
        # Two sweeps may write to one file.
        fcntl.flock(output, fcntl.LOCK_EX)
        length = output.seek(0, os.SEEK_END)
        if _whole.get(file) != length:
            # A process that died here may have left the beginning of a member, behind which nothing could be read.
            length = output.truncate(_length_of_whole_members(file))
        output.seek(length)
        length += output.write(gzip.compress(text.encode()))
        output.flush()
        os.fsync(output.fileno())
        _whole.clear()
        _whole[file] = length
    _sync(folder)


def keep_file(name: str) -> None:
    """Copies the file of an attachment to the archive, under its own name. Does nothing without an archive."""
    if not settings.RETENTION_ARCHIVE or not default_storage.exists(name):
        return
    target = _folder() / "files" / name
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with default_storage.open(name) as source, open(target, "wb", opener=_for_owner) as output:
        shutil.copyfileobj(source, output, CHUNK)
        output.flush()
        os.fsync(output.fileno())
    _sync(target.parent)


def _folder() -> Path:
    """The folder of the setting. It is not made here: a disk that is not mounted must not be taken for an archive."""
    folder = Path(settings.RETENTION_ARCHIVE)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Mount its disk, or make it for the user of the workers")
    return folder


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _length_of_whole_members(file: Path) -> int:
    whole = read = 0
    member = zlib.decompressobj(wbits=31)
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            read += len(chunk)
            while chunk:
                try:
                    member.decompress(chunk)
                except zlib.error:
                    return whole
                if not member.eof:
                    break
                chunk = member.unused_data
                whole, member = read - len(chunk), zlib.decompressobj(wbits=31)
    return whole
