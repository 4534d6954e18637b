"""News for the open page of a change: when there are some, and what other apps show of theirs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from changes.models import Change
from changes.pages.renewal import Watch
from changes.waiting import Keys

# Between the versions of the page's own content and of what other apps show on it, and before the stamp.
_BETWEEN, _STAMPED = "/", "@"


@dataclass(frozen=True)
class Source:
    """What another app shows on the page.

    `stamps`: for the keys of some changes, a text each that differs whenever something may be new. One query or two,
    because it is asked for all open pages again and again. `version`: of what is shown of one change. `values`: the
    context of `template`, which has the parts to swap in, from the change and the version that the page shows.
    """

    stamps: Callable[[Collection[int]], Mapping[int, str]]
    version: Callable[[Change], str]
    template: str
    values: Callable[[Change, str], dict[str, object]]


_sources: list[Source] = []


def offer(source: Source) -> None:
    _sources.append(source)


@dataclass(frozen=True)
class Stamp(Watch):
    """A digest of what may be new about a change, and the minute, because pages show ages such as "3 minutes ago".

    As long as the stamp is that of the page, the page need not be read again.
    """

    minute: int

    @property
    def digest(self) -> str:
        return str(self.key[1])

    def on(self, version: str) -> str:
        """The version of a page that was read after this stamp."""
        return f"{version}{_STAMPED}{self.digest}.{self.minute}"

    def is_on(self, shown: str) -> bool:
        """Whether nothing is new for a page that shows this version."""
        return shown.rpartition(_STAMPED)[2].partition(".")[0] == self.digest

    def is_of_this_minute(self, shown: str) -> bool:
        return shown.rpartition(".")[2] == str(self.minute)


def stamp_of(change: int) -> Stamp:
    """The stamp of the change with this key, for its open page to wait for another one."""
    return Stamp((change, _stamps([change]).get(change, "")), _ready, int(time.time() // 60))


def without_stamp(version: str) -> str:
    return version.partition(_STAMPED)[0]


def version_of(own: str, change: Change) -> str:
    """The version of the whole page, from that of its own content."""
    return _BETWEEN.join([own, *(source.version(change) for source in _sources)])


def own_version(version: str) -> str:
    return version.partition(_BETWEEN)[0]


def of_others(request: HttpRequest, change: Change, shown: str) -> SafeString:
    """The parts of other apps that have changed since the page had the version `shown`."""
    versions = shown.split(_BETWEEN)[1:]
    context = {"change": change, "oob": True}
    sources = zip(_sources, versions or [""] * len(_sources), strict=False)
    changed = [(source, version) for source, version in sources if source.version(change) != version]
    parts = (
        (render_to_string(source.template, {**context, **source.values(change, version)}, request),)
        for source, version in changed
    )
    return format_html_join("", "{}", parts)


def _ready(keys: Keys) -> Keys:
    stamps = _stamps({change for change, _stamp in keys})
    return [(change, stamp) for change, stamp in keys if stamps.get(change) != stamp]


def _stamps(changes: Collection[int]) -> dict[int, str]:
    # With the version: while an upgrade goes on, a web server of the former release does not note activities.
    moments = Change.objects.filter(pk__in=changes).order_by().values_list("pk", "last_activity_at", "version")
    others = [source.stamps(changes) for source in _sources]
    told = {
        key: " ".join([moment.isoformat(), str(version), *(other.get(key, "") for other in others)])
        for key, moment, version in moments
    }
    return {key: hashlib.sha256(text.encode()).hexdigest()[:16] for key, text in told.items()}
