"""Times as people read them on pages: English in the order of ISO 8601, German with dots.

Django's own date formats take ten times as long, and a list shows hundreds of times.
"""

from datetime import date, datetime

from django.utils import timezone
from django.utils.translation import get_language

_ISO = "%Y-%m-%d"
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


def day(date: date) -> str:
    """The date in the language of the page, such as 2026-11-28 or 28.11.2026."""
    return date.strftime(_day())


def exact(moment: datetime) -> str:
    """The local time to the second, with the name of the time zone."""
    return local(moment).strftime(f"{_day()} %H:%M:%S %Z")


def _day() -> str:
    return _DAYS.get(get_language() or "", _ISO)
