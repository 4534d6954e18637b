"""What another app adds to the changes, which know nothing of it: one `Extension`, registered when the app is ready.

These are all the seams. The changes import nothing of the other app, and their templates name nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import django_filters

from . import search
from .bulk import kind
from .models import Change, recipients
from .pages import parts
from .pages.change import timeline
from .pages.list import export, filters


@dataclass(frozen=True)
class Extension:
    """`parts`: what pages show, by place (`pages/parts.py`). `filters` of the list, by their name in the address.
    `columns` of its export. `timeline`: kinds of entries under filters of their own. `searched`: rows that a search
    reads too. `recipients`: whom something public on a change is sent to, its row being locked; and `recipients_shown`,
    the same for a page. `forecast`: what saves and comments would send; `wake`: tells the workers of a bulk job.
    `bulk_kinds`: what else can be done to many records.
    """

    parts: Sequence[tuple[str, parts.Part]] = ()
    filters: Mapping[str, django_filters.Filter] = field(default_factory=dict)
    columns: Sequence[export.Columns] = ()
    timeline: Sequence[timeline.Show] = ()
    searched: Sequence[search.Source] = ()
    recipients: Callable[[Change], Iterable[str]] | None = None
    recipients_shown: Callable[[Change], Iterable[str]] | None = None
    forecast: kind.Forecast | None = None
    wake: Callable[[], None] | None = None
    bulk_kinds: Sequence[kind.Kind] = ()


def register(extension: Extension) -> None:
    """Called once for each app, in its `ready()`."""
    for place, part in extension.parts:
        parts.offer(place, part)
    for name, filter_ in extension.filters.items():
        filters.offer(name, filter_)
    for columns in extension.columns:
        export.offer(columns)
    for show in extension.timeline:
        timeline.offer(show.name, show.label, *show.kinds)
    for source in extension.searched:
        search.offer(source)
    if extension.recipients and extension.recipients_shown:
        recipients.offer(extension.recipients, extension.recipients_shown)
    if extension.forecast and extension.wake:
        kind.hooks.forecast, kind.hooks.wake = extension.forecast, extension.wake
    for one in extension.bulk_kinds:
        kind.register(one)
