"""The progress of a job, and the results of its records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.db.models import Count
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.choices import ItemStatus
from changes.models import BulkItem, BulkJob

from .kind import kind_of

PAGE_SIZE = 100
# If no worker has touched a job for this long, the page warns.
PATIENCE = timedelta(seconds=20)


@dataclass
class Progress:
    job: BulkJob
    counts: Counter[str]

    @classmethod
    def of(cls, job: BulkJob) -> Progress:
        rows = job.items.order_by().values_list("status").annotate(n=Count("pk"))
        return cls(job, Counter(dict(rows)))

    @property
    def title(self) -> str:
        return kind_of(self.job).title(self.job)

    @property
    def done(self) -> int:
        return self.counts[ItemStatus.DONE]

    @property
    def unchanged(self) -> int:
        return self.counts[ItemStatus.UNCHANGED]

    @property
    def failed(self) -> int:
        return self.counts[ItemStatus.FAILED]

    @property
    def waiting(self) -> int:
        return self.counts[ItemStatus.WAITING]

    @property
    def handled(self) -> int:
        return self.job.total - self.waiting

    @property
    def percent(self) -> int:
        return 100 * self.handled // self.job.total if self.job.total else 100

    @property
    def tone(self) -> str:
        if self.job.is_running:
            return "busy" if self.job.started_at else "wait"
        if self.failed:
            return "bad"
        return "idle" if self.job.stopped_at else "ok"

    @property
    def word(self) -> str:
        if self.job.is_running:
            return _("Running") if self.job.started_at else _("Waiting for a worker")
        return _("Stopped") if self.job.stopped_at else _("Finished")

    @property
    def is_late(self) -> bool:
        """Whether no worker has touched the running job for longer than `PATIENCE`."""
        since = self.job.active_at or self.job.confirmed_at
        return self.job.is_running and since is not None and timezone.now() - since > PATIENCE


@dataclass(frozen=True)
class Tab:
    """A tab that shows only the results with one status."""

    value: str
    label: str
    count: int
    is_current: bool


class Results:
    """One page of a job's records, by position. In the address, `show` is a status, `after` a position."""

    def __init__(self, job: BulkJob, progress: Progress, parameters: QueryDict) -> None:
        self.job, self.progress = job, progress
        shown = parameters.get("show", "")
        self.show = shown if shown in ItemStatus.values else ""
        after = parameters.get("after", "")
        self.after = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else 0

    @property
    def tabs(self) -> list[Tab]:
        labels = {
            "": _("All"),
            ItemStatus.FAILED: _("Not done"),
            ItemStatus.DONE: _("Done"),
            ItemStatus.UNCHANGED: _("Unchanged"),
            ItemStatus.WAITING: _("Not started") if self.job.stopped_at else _("Waiting"),
        }
        counts = {"": self.job.total, **self.progress.counts}
        return [
            Tab(value, label, counts.get(value, 0), value == self.show)
            for value, label in labels.items()
            if counts.get(value) or value == self.show
        ]

    @cached_property
    def _page(self) -> list[BulkItem]:
        items = self.job.items.filter(position__gt=self.after)
        if self.show:
            items = items.filter(status=self.show)
        return list(items.order_by("position")[: PAGE_SIZE + 1])

    @property
    def rows(self) -> list[tuple[BulkItem, str]]:
        """The records of this page, each with the address of its own page."""
        kind = kind_of(self.job)
        return [(item, kind.address(item)) for item in self._page[:PAGE_SIZE]]

    @property
    def next_after(self) -> int | None:
        return self._page[PAGE_SIZE - 1].position if len(self._page) > PAGE_SIZE else None
