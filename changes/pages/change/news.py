"""News for the open page of a change: when there are some, and what other apps show of theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django.http import HttpRequest
from django.template.loader import render_to_string

from changes.api.waiting import Keys
from changes.models import Change
from changes.pages.renewal import Watch

# Between the versions of the page's own content and of what other apps show on it.
_BETWEEN = "/"


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


def watch(change: int) -> Watch:
    """What an open page of the change with this key waits for. Other pages about one change may wait for it too."""
    return Watch((change, _stamps([change]).get(change)), _ready)


def version_of(own: str, change: Change) -> str:
    """The version of the whole page, from that of its own content."""
    return _BETWEEN.join([own, *(source.version(change) for source in _sources)])


def own_version(version: str) -> str:
    return version.partition(_BETWEEN)[0]


def of_others(request: HttpRequest, change: Change, shown: str) -> str:
    """The parts of other apps that have changed since the page had the version `shown`."""
    versions = shown.split(_BETWEEN)[1:]
    context = {"change": change, "oob": True}
    return "".join(
        render_to_string(source.template, {**context, **source.values(change, version)}, request)
        for source, version in zip(_sources, versions or [""] * len(_sources), strict=False)
        if source.version(change) != version
    )


def _ready(keys: Keys) -> Keys:
    stamps = _stamps({change for change, _stamp in keys})
    return [(change, stamp) for change, stamp in keys if stamps.get(change) != stamp]


def _stamps(changes: Collection[int]) -> dict[int, str]:
    moments = Change.objects.filter(pk__in=changes).order_by().values_list("pk", "last_activity_at")
    others = [source.stamps(changes) for source in _sources]
    return {key: " ".join([moment.isoformat(), *(other.get(key, "") for other in others)]) for key, moment in moments}
