"""What a bulk action on changes would do, and what it would send: gathered with a handful of queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError

from changes.choices import ItemStatus
from changes.exceptions import ChangeRefused
from changes.models import BulkItem, BulkJob, Change

from .kind import AlreadySo, Intent, NotDone, Preview, Sent, hooks

TEMPLATE = "changes/includes/bulk_preview.html"
# The intent of one record; raises why there is none, as `Kind.do()` does.
Foreseen = Callable[[BulkItem, Change | None], Intent]


@dataclass
class Row:
    """One change: `reason` says why it is not done; `sent` what partners are told."""

    item: BulkItem
    change: Change | None
    group: str
    phase: str
    status: ItemStatus
    reason: str = ""
    sent: list[Sent] = field(default_factory=list)


@dataclass(frozen=True)
class PartnerShare:
    """What one partner gets: how many of each operation."""

    system: str
    counts: list[tuple[str, int]]


def preview_of(job: BulkJob, foreseen: Foreseen) -> Preview:
    items = list(job.items.order_by("position"))
    found = Change.objects.visible_to(job.user).with_people().in_bulk([int(item.target) for item in items])
    rows, intents = [], []
    for item in items:
        change = found.get(int(item.target))
        # As they are now: foreseeing alters it.
        group = str(change.owning_group) if change and change.owning_group else ""
        row = Row(item, change, group, change.phase if change else "", ItemStatus.FAILED)
        rows.append(row)
        try:
            intents.append((row, foreseen(item, change)))
            row.status = ItemStatus.DONE
        except AlreadySo as already:
            row.status, row.reason = ItemStatus.UNCHANGED, str(already)
        except (NotDone, ChangeRefused) as refused:
            row.reason = str(refused)
        except ValidationError as error:
            row.reason = " ".join(error.messages)
    forecast = hooks.forecast([intent for _, intent in intents])
    for (row, _), sent in zip(intents, forecast, strict=True):
        row.sent = sent
    by_status = {status: [row for row in rows if row.status == status] for status in ItemStatus}
    doable = by_status[ItemStatus.DONE]
    context = {
        "rows": [*by_status[ItemStatus.FAILED], *doable, *by_status[ItemStatus.UNCHANGED]],
        "failed": len(by_status[ItemStatus.FAILED]),
        "unchanged": len(by_status[ItemStatus.UNCHANGED]),
        "partners": _shares(doable),
        "silent": sum(not row.sent for row in doable),
    }
    return Preview(len(doable), TEMPLATE, context)


def _shares(rows: list[Row]) -> list[PartnerShare]:
    counts = Counter((sent.system, sent.operation) for row in rows for sent in row.sent)
    systems = sorted({system for system, _ in counts})
    return [
        PartnerShare(name, sorted((operation, n) for (system, operation), n in counts.items() if system == name))
        for name in systems
    ]
