"""Notes on answers that could not be used. They are stored in English, and pages translate them. Pure."""

from __future__ import annotations

import re
from functools import cache

from django.utils.translation import gettext, gettext_noop

TOO_LONG = gettext_noop("The answer is too long, so it was not used.")
NOT_JSON = gettext_noop("The answer is not JSON, so it was not used.")
NO_OBJECT = gettext_noop("The answer is not a JSON object, so it was not used.")
NO_TEXT = gettext_noop("Not a text, so not used: %(names)s.")
REJECTED_SINCE = gettext_noop("The partner has rejected the change since, so its answer was not used.")
NO_REFERENCE = gettext_noop("The answer was not used: it has no external_id, and there is no reference yet.")
NAMES_ANOTHER = gettext_noop("The answer names %(named)s, but the reference is %(known)s.")
TAKEN = gettext_noop("The answer was not used: %(named)s belongs to another change.")
_ALL = (TOO_LONG, NOT_JSON, NO_OBJECT, NO_TEXT, REJECTED_SINCE, NO_REFERENCE, NAMES_ANOTHER, TAKEN)


def in_words(stored: str) -> str:
    """The note in the language of the page. What is none of these sentences stays as it is."""
    said = []
    while found := next(filter(None, (pattern.match(stored) for pattern in _patterns())), None):
        said.append(gettext(_patterns()[found.re]) % found.groupdict())
        stored = stored[found.end() :]
    return " ".join([*said, *filter(None, [stored])])


@cache
def _patterns() -> dict[re.Pattern[str], str]:
    """Each sentence with its values, at the beginning of a note and before its end or another sentence."""
    return {re.compile(re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+?)", re.escape(text)) + r"(?: |$)"): text for text in _ALL}
