"""Checks of values from people and partners. Each raises ValidationError, which says how to correct the value."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File
from django.db.models import Field
from django.utils.translation import gettext_lazy as _

from changes.files.content import head_of, is_program
from changes.files.scanning import scan

TEXT_MAX_LENGTH = 100_000
FIRST_YEAR, LAST_YEAR = 1900, 9998
# Zero-width joiners: Persian, Hindi and many emoji need them, and they do not change the direction of a text.
_JOINERS = "\u200c\u200d"
# Format characters that are visible nevertheless: number signs of Arabic, Syriac and Kaithi.
_SEEN = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
# White space, controls, and all that shows nothing by itself: fillers of Hangul and of other scripts, the braille
# blank, joiners, variation selectors, tags. Within a text many of them matter, as in emoji.
_SHOWING_NOTHING = (
    "\x01-\x20\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U00013430-\U00013442\U00016fe4"
    "\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# A regular expression, for Python and both databases: it finds a character that is visible.
VISIBLE = f"[^{_SHOWING_NOTHING}]"
_VISIBLE = re.compile(VISIBLE)


def is_blank(text: str) -> bool:
    """Whether nothing of the text is visible. Wherever a text is needed, such a text counts as none."""
    return not _VISIBLE.search(text)


def validate_text(text: str) -> None:
    """No NUL (PostgreSQL cannot keep one) and no half of a surrogate pair (UTF-8 cannot carry one)."""
    if "\x00" in text:
        raise ValidationError(_("A NUL character is not allowed: remove it."), code="null_characters_not_allowed")
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        message = _("Half of a surrogate pair is not a character: send valid UTF-8.")
        raise ValidationError(message, code="invalid_surrogate")


def validate_moment(moment: datetime) -> None:
    """The year in UTC lies within the limits, which leave room for every time zone."""
    if not is_possible(moment):
        values = {"first": FIRST_YEAR, "last": LAST_YEAR}
        raise ValidationError(_("The year must lie between %(first)s and %(last)s."), code="year", params=values)


def is_possible(moment: datetime) -> bool:
    """Whether its year in UTC lies within the limits. The time zone that it is given in makes no difference."""
    try:
        return FIRST_YEAR <= moment.astimezone(UTC).year <= LAST_YEAR
    except OverflowError:
        return False


def validate_web_address(url: str) -> None:
    """An http(s) address with a host, of whatever kind: short names, underscores and ports are usual in a company."""
    validate_text(url)
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or any(char.isspace() or is_unseen(char) for char in url):
        message = _("Give a web address that begins with http:// or https:// and names a host, without spaces.")
        raise ValidationError(message, code="invalid_url")


def validate_file_name(name: str) -> None:
    """A bare name: no folder, no control character, and nothing unseen that makes it look like another."""
    validate_text(name)
    if is_blank(name) or name in {".", ".."} or re.search(r"[/\\\x01-\x1f\x7f]", name):
        message = _("Give a plain file name, without folders or control characters.")
        raise ValidationError(message, code="invalid_name")
    if "\ufffd" in name:
        raise ValidationError(_("The file name is not valid UTF-8: rename the file."), code="invalid_name")
    if name != name.strip():
        message = _("The file name begins or ends with white space: remove it.")
        raise ValidationError(message, code="invalid_name")
    if unseen := _unseen_in(name):
        message = _("The file name contains invisible characters (%(codes)s): remove them.")
        raise ValidationError(message, code="invalid_name", params={"codes": unseen})


def validate_identifier(text: str) -> None:
    """No white space at the edges and no invisible characters, so identifiers that look the same are the same."""
    validate_text(text)
    if text and is_blank(text):
        raise ValidationError(Field.default_error_messages["blank"], code="blank")
    if text != text.strip():
        raise ValidationError(_("White space at the beginning or the end is not allowed: remove it."), code="edges")
    if unseen := _unseen_in(text):
        message = _("Invisible characters (%(codes)s) are not allowed: remove them.")
        raise ValidationError(message, code="unseen_characters", params={"codes": unseen})


def _unseen_in(text: str) -> str:
    """The codes of the invisible characters in `text`, as in `U+200B, U+202E`; "" if there are none."""
    if text.isascii() and text.isprintable():
        return ""
    return ", ".join(sorted({code_point(char) for char in text if is_unseen(char)}))


def is_unseen(char: str) -> bool:
    """Whether a character is invisible and may disguise a text: U+202E shows `gpj.exe` as `exe.jpg`."""
    return unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char not in _JOINERS and char not in _SEEN


def code_point(char: str) -> str:
    """The code of a character, as in `U+202E`."""
    return f"U+{ord(char):04X}"


def made_visible(name: str) -> str:
    """The name with codes in place of invisible characters, which names stored by an earlier release may contain."""
    return "".join(f"[{code_point(char)}]" if is_unseen(char) else char for char in name)


def validate_content_type(content_type: str) -> None:
    """A media type such as `application/pdf`, with parameters or without."""
    if not re.fullmatch(r"[\w.+-]+/[\w.+-]+( *;[ -~]*)?", content_type, re.ASCII):
        raise ValidationError(_("Give a media type, such as application/pdf."), code="invalid_content_type")


def validate_attachment(file: File[bytes]) -> None:
    """Not empty, at most `ATTACHMENT_MAX_BYTES`, no program, and nothing that the scanner refuses.

    Raises NotScanned, a ValidationError too, if there is a scanner that cannot scan it now.
    """
    if not file.size:
        raise ValidationError(_("The file is empty: attach one with content."), code="empty")
    if file.size > settings.ATTACHMENT_MAX_BYTES:
        values = {"size": file.size, "limit": settings.ATTACHMENT_MAX_BYTES}
        message = _("The file has %(size)s bytes; at most %(limit)s are taken.")
        raise ValidationError(message, code="too_large", params=values)
    if is_program(head_of(file)) and not settings.ATTACHMENT_PROGRAMS:
        raise ValidationError(_("The file is a program: programs are not taken here."), code="program")
    scan(file)
