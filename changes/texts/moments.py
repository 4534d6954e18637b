"""Times as people read them on pages: English in the order of ISO 8601, German with dots.

Django's own date formats take ten times as long, and a list shows hundreds of times.
"""

from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import get_language, npgettext_lazy, pgettext

_ISO = "%Y-%m-%d"
# As they read after "in", "for" or "since": German has another case for them than in Django's own texts.
_UNITS: dict[str, Any] = {
    "year": npgettext_lazy("after a preposition", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("after a preposition", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("after a preposition", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("after a preposition", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("after a preposition", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("after a preposition", "%(num)d minute", "%(num)d minutes", "num"),
}
_MINUTE = timedelta(minutes=1)
_DAYS = {"de": "%d.%m.%Y"}


def local(moment: datetime) -> datetime:
    """The time in the current time zone, or unchanged at the ends of the calendar, which the zone cannot show."""
    try:
        return timezone.localtime(moment)
    except OverflowError:
        return moment


def to_the_minute(moment: datetime) -> str:
    """The local time in the language of the page, such as 2026-11-28 14:05 or 28.11.2026 14:05."""
    return local(moment).strftime(f"{_day()} %H:%M")


def elapsed(since: datetime, now: datetime | None = None) -> str:
    """The time since then in its largest unit, such as 3 minutes, to stand after "for" or before "ago"."""
    now = now or timezone.now()
    return _less_than_a_minute() if now - since < _MINUTE else timesince(since, now, time_strings=_UNITS, depth=1)


def remaining(until: datetime, now: datetime | None = None) -> str:
    """The time until then in its largest unit, to stand after "in"."""
    now = now or timezone.now()
    return _less_than_a_minute() if until - now < _MINUTE else timeuntil(until, now, time_strings=_UNITS, depth=1)


def _less_than_a_minute() -> str:
    return pgettext("after a preposition", "less than a minute")


def day(date: date) -> str:
    """The date in the language of the page, such as 2026-11-28 or 28.11.2026."""
    return date.strftime(_day())


def exact(moment: datetime) -> str:
    """The local time to the second, with the name of the time zone."""
    return local(moment).strftime(f"{_day()} %H:%M:%S %Z")


def _day() -> str:
    return _DAYS.get(get_language() or "", _ISO)
