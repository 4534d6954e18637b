"""The scan of a file by the command in ATTACHMENT_SCAN_COMMAND, such as ClamAV's `clamdscan -`.

The command gets the file on its standard input. Its exit code says what it found: 0 nothing, 1 something; anything else
means that it could not scan.
"""

from __future__ import annotations

import logging
import shlex
import subprocess
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from changes.protection.turns import TooBusy, Turns

logger = logging.getLogger(__name__)

FOUND = 1
# Seconds for one scan.
LIMIT = 30
# One scan at a time in each process, and one more that waits so many seconds for its turn: a scanner that hangs holds
# two of its threads.
_turns = Turns(at_once=1, waiting=1, seconds=LIMIT / 2)


class NotScanned(ValidationError):  # noqa: N818 - reads as a statement, like the other exceptions of the project
    """The scanner could not scan the file, so it is not taken. It may be sent again."""


def scan(file: Any) -> datetime | None:
    """When the file was found clean, now or before; None without a command.

    Raises ValidationError if the scanner found something, NotScanned if it could not scan.
    """
    if not settings.ATTACHMENT_SCAN_COMMAND:
        return None
    if isinstance(file, FieldFile):
        file = file.file  # the upload, of which each form and record makes a field of its own
    if not hasattr(file, "found_clean_at"):
        if refusal := getattr(file, "refusal", None):
            raise refusal
        file.seek(0)
        content = file.read()
        file.seek(0)
        try:
            with _turns:
                _scan(content)
        except TooBusy:
            file.refusal = _not_scanned("too many files are being scanned")
            raise file.refusal from None
        except ValidationError as refusal:
            file.refusal = refusal
            raise
        file.found_clean_at = timezone.now()
    return file.found_clean_at


def _scan(content: bytes) -> None:
    command = shlex.split(settings.ATTACHMENT_SCAN_COMMAND)
    try:
        # The command is an operator's, from the environment. The file is only its input.
        done = subprocess.run(command, input=content, capture_output=True, timeout=LIMIT, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_scanned(str(error)) from error
    said = (done.stdout + done.stderr).decode(errors="replace").strip()[:500]
    if done.returncode == FOUND:
        logger.warning("A file of %s bytes was refused by the scanner: %s", len(content), said)
        raise ValidationError(_("The virus scanner refused the file: do not send it again."), code="infected")
    if done.returncode:
        raise _not_scanned(f"exit code {done.returncode}: {said}")


def _not_scanned(why: str) -> NotScanned:
    logger.error("A file was not scanned, so it was not taken: %s", why)
    return NotScanned(
        _("The file cannot be scanned for viruses right now: send it again in a moment."), code="unscanned"
    )
