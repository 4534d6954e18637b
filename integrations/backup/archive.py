"""The file of a backup: a tar with the database first, then the attachments, and the manifest at its end.

The manifest is last because it has the checksums of the others. A file that was cut off has none.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any

from .manifest import BackupRefused, Manifest

MANIFEST = "manifest.json"
DATABASE = "database"
FILES = "files/"
COMPRESSED = (".gz", ".tgz")
CHUNK = 1024 * 1024
MOST_NAMED = 5


class Reader:
    """Reads a file and computes its checksum."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self.file.read(size)
        self.digest.update(chunk)
        return chunk


class Writing:
    """A backup that is being written."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self.tar, self.manifest = tar, manifest
        self.at = datetime.fromisoformat(manifest.taken_at).timestamp()

    def add(self, name: str, path: Path) -> str:
        """Adds a file. Returns its checksum. Raises FileNotFoundError if it is not there."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            reader: Any = Reader(file)
            self.tar.addfile(self._info(name, size), reader)
        self.manifest.parts[name] = (size, reader.digest.hexdigest())
        return self.manifest.parts[name][1]

    def finish(self) -> None:
        content = self.manifest.as_bytes()
        self.tar.addfile(self._info(MANIFEST, len(content)), io.BytesIO(content))

    def _info(self, name: str, size: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(self.at)
        return info


@contextmanager
def reserved(file: Path) -> Iterator[IO[bytes]]:
    """Yields FILE.part, which becomes FILE at the end. Until then no other backup can have that name.

    Raises BackupRefused if another one has it, or if there is such a file. Only its owner can read it.
    """
    part = file.with_name(f"{file.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BackupRefused(f"{part} is being written by another backup. Wait for its end.") from error
        if not _is_name_of(part, output):
            raise BackupRefused(f"{file} was written by another backup a moment ago. Give another name.")
        try:
            if file.exists():
                raise BackupRefused(f"{file} is there already. Give another name, or remove it.")
            os.fchmod(descriptor, 0o600)
            output.truncate()
            yield output
            output.flush()
            os.fsync(descriptor)
            part.rename(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    sync_folder(file.parent)


def _is_name_of(path: Path, file: IO[bytes]) -> bool:
    """Whether the name is still that of the open file: whoever had the lock before may have renamed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


@contextmanager
def writing(output: IO[bytes], is_compressed: bool, manifest: Manifest) -> Iterator[Writing]:
    mode: Any = "w|gz" if is_compressed else "w|"
    with tarfile.open(fileobj=output, mode=mode) as tar:
        backup = Writing(tar, manifest)
        yield backup
        backup.finish()


def sync_folder(folder: Path) -> None:
    """Makes new names in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(file: Path, take: Callable[[str, IO[bytes]], None] | None = None) -> Manifest:
    """Reads the whole file and compares all checksums. Returns its manifest.

    `take` gets each part. It must read it to its end. Raises BackupRefused for a file that is damaged or no backup.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(file, "r|*") as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content is None:
                    raise BackupRefused(f"{file} has {member.name}, which is no file. It was not made by `backup`.")
                if member.name == MANIFEST:
                    manifest = Manifest.read(content.read())
                    continue
                _check_name(member.name)
                reader: Any = Reader(content)
                if take:
                    take(member.name, reader)
                while reader.read(CHUNK):
                    pass
                found[member.name] = (member.size, reader.digest.hexdigest())
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BackupRefused(f"{file} is damaged, or no backup: {error}.") from error
    if manifest is None:
        raise BackupRefused(f"{file} is incomplete: it has no {MANIFEST}, which is its last part.")
    _compare(file, manifest, found)
    return manifest


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if name != DATABASE and (not name.startswith(FILES) or path.is_absolute() or ".." in path.parts):
        raise BackupRefused(f"The backup has a part named {name}, which `backup` never writes.")


def _compare(file: Path, manifest: Manifest, found: dict[str, tuple[int, str]]) -> None:
    wrong = sorted(name for name in {*found, *manifest.parts} if found.get(name) != manifest.parts.get(name))
    if DATABASE not in manifest.parts:
        wrong.append(DATABASE)
    if wrong:
        raise BackupRefused(f"{file} is damaged: {named(wrong)} missing, or not as written.")


def named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])}{more}"
