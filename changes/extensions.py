"""The extension points of this app. Another app registers one `Extension` in its `ready()`.

There are no other links: this app imports nothing of the other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import django_filters
from django.db.models import Q

from .bulk import kind
from .models import Change, recipients
from .pages import groups, parts
from .pages.change import news, timeline
from .pages.list import export, filters
from .queries import people, search
from .security_log import kinds, recording


@dataclass(frozen=True)
class Extension:
    """All that another app adds.

    - `parts`: parts of pages, each with its place (`pages/parts.py`).
    - `filters`: filters of the list, by their name in the address.
    - `columns`: columns of the list's export.
    - `tables`: more files that the list exports.
    - `timeline`: kinds of timeline entries, under filters of their own.
    - `news`: what it shows on the page of a change that may be new while the page is open.
    - `searched`: more rows that a search covers.
    - `partners_of_groups`: the name of the partner of each support group that has one, by the group's key.
    - `programs`: the condition on an account that is of a program, and so is no choice where a person is asked for.
    - `recipients`: partners that something public on a change is sent to; the change's row is locked.
    - `recipients_shown`: the same for a page. Registered only together with `recipients`.
    - `forecast`: the operations that saves and comments would send. Registered only together with `wake`.
    - `wake`: tells the workers that a bulk job was confirmed.
    - `bulk_kinds`: more actions on many records.
    - `event_kinds`: more kinds of security events.
    - `caller`: names the token and the partner of an API call, for the security log.
    """

    parts: Sequence[tuple[str, parts.Part]] = ()
    filters: Mapping[str, django_filters.Filter] = field(default_factory=dict)
    columns: Sequence[export.Columns] = ()
    tables: Sequence[export.Table] = ()
    timeline: Sequence[timeline.Show] = ()
    news: Sequence[news.Source] = ()
    searched: Sequence[search.Source] = ()
    partners_of_groups: Callable[[], Mapping[int, str]] | None = None
    programs: Callable[[], Q] | None = None
    recipients: Callable[[Change], Iterable[str]] | None = None
    recipients_shown: Callable[[Change], Iterable[str]] | None = None
    forecast: kind.Forecast | None = None
    wake: Callable[[], None] | None = None
    bulk_kinds: Sequence[kind.Kind] = ()
    event_kinds: Sequence[kinds.EventKind] = ()
    caller: Callable[[Any], recording.Caller] | None = None


def register(extension: Extension) -> None:
    """Adds the extension of one app. The app calls it once, in its `ready()`.

    Raises ValueError for one of two hooks that belong together.
    """
    for one, other in (("recipients", "recipients_shown"), ("forecast", "wake")):
        if bool(getattr(extension, one)) != bool(getattr(extension, other)):
            raise ValueError(f"Give {one} and {other} together.")
    for place, part in extension.parts:
        parts.offer(place, part)
    for name, filter_ in extension.filters.items():
        filters.offer(name, filter_)
    for columns in extension.columns:
        export.offer(columns)
    for table in extension.tables:
        export.offer_table(table)
    for show in extension.timeline:
        timeline.offer(show.name, show.label, *show.kinds)
    for fresh in extension.news:
        news.offer(fresh)
    for source in extension.searched:
        search.offer(source)
    if extension.partners_of_groups:
        groups.hooks.partners = extension.partners_of_groups
    if extension.programs:
        people.hooks.programs = extension.programs
    if extension.recipients and extension.recipients_shown:
        recipients.offer(extension.recipients, extension.recipients_shown)
    if extension.forecast and extension.wake:
        kind.hooks.forecast, kind.hooks.wake = extension.forecast, extension.wake
    for action in extension.bulk_kinds:
        kind.register(action)
    kinds.register(extension.event_kinds)
    if extension.caller:
        recording.hooks.caller = extension.caller
