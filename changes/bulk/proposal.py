"""The preview of a bulk action on changes: what it would do and send. It takes only a few queries.

The partners that the preview names are a promise: `told` stores them, and `newly_told()` checks them again when the
job runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from changes import audit
from changes.choices import ItemStatus
from changes.exceptions import ChangeRefused, Said
from changes.models import BulkItem, BulkJob, Change

from .kind import AlreadySo, Intent, NotDone, Outdated, Proposal, Sent, hooks

TEMPLATE = "changes/includes/bulk_preview.html"
# A function that returns the intent for one record. It raises the same errors as `Kind.do()`.
Foreseen = Callable[[BulkItem, Change | None], Intent]


@dataclass
class Row:
    """One change in the preview.

    `reason` says why it will not be done. `sent` are the operations to partners. `is_outdated`: it may be possible
    after a new preview.
    """

    item: BulkItem
    change: Change | None
    group: str
    phase: str
    status: ItemStatus
    reason: str = ""
    sent: list[Sent] = field(default_factory=list)
    is_outdated: bool = False

    def refuse(self, refused: Exception) -> None:
        self.status, self.reason = ItemStatus.FAILED, str(refused)
        self.is_outdated = isinstance(refused, Outdated)


@dataclass(frozen=True)
class PartnerShare:
    """The operations that one partner receives: the number of each kind."""

    system: str
    counts: list[tuple[str, int]]


def preview_of(job: BulkJob, foreseen: Foreseen) -> Proposal:
    items = list(job.items.order_by("position"))
    found = Change.objects.visible_to(job.user).with_people().in_bulk([int(item.target) for item in items])
    rows, intents = [], []
    for item in items:
        change = found.get(int(item.target))
        # Read before `foreseen()`, which alters the change.
        group = str(change.owning_group) if change and change.owning_group else ""
        row = Row(item, change, group, change.phase if change else "", ItemStatus.FAILED)
        rows.append(row)
        try:
            intents.append((row, foreseen(item, change)))
            row.status = ItemStatus.DONE
        except AlreadySo as already:
            row.status, row.reason = ItemStatus.UNCHANGED, str(already)
        except (NotDone, ChangeRefused) as refused:
            row.refuse(refused)
        except ValidationError as error:
            row.reason = " ".join(error.messages)
    forecast = hooks.forecast([intent for _row, intent in intents])
    for (row, _intent), sent in zip(intents, forecast, strict=True):
        row.sent = sent
        if more := newly_told(row.item, sent):
            row.refuse(more)
    _say_who_changed([row for row in rows if row.is_outdated and not row.reason])
    by_status = {status: [row for row in rows if row.status == status] for status in ItemStatus}
    doable = by_status[ItemStatus.DONE]
    context = {
        "rows": [*by_status[ItemStatus.FAILED], *doable, *by_status[ItemStatus.UNCHANGED]],
        "failed": len(by_status[ItemStatus.FAILED]),
        "unchanged": len(by_status[ItemStatus.UNCHANGED]),
        "outdated": sum(row.is_outdated for row in rows),
        "partners": _shares(doable),
        "silent": sum(not row.sent for row in doable),
    }
    return Proposal(len(doable), TEMPLATE, context)


def _say_who_changed(rows: list[Row]) -> None:
    """Sets the reason of changes that were edited since they were chosen: who edited which fields."""
    seen = {row.change.pk: row.item.seen or 0 for row in rows if row.change}
    edits = audit.edits_since(seen)
    for row in rows:
        found = edits[row.change.pk] if row.change else {}
        row.reason = _("It was changed since it was chosen.")
        if who := audit.who(found.values()):
            words = {"who": who, "what": audit.labels(found)}
            row.reason = _("It was changed by %(who)s since it was chosen (%(what)s).") % words


def partners_told(intents: Sequence[Intent]) -> list[list[str]]:
    """The names of the partners that each intent would be sent to."""
    return [sorted({sent.system for sent in each}) for each in hooks.forecast(intents)]


def newly_told(item: BulkItem, sent: Sequence[Sent]) -> Outdated | None:
    """The refusal if `sent` goes to partners that were not named when the record was chosen; else None."""
    more = sorted({each.system for each in sent} - {*item.told}) if item.told is not None else []
    if not more:
        return None
    return Outdated(Said(_("It would now be sent to %(systems)s: look at it again."), {"systems": ", ".join(more)}))


def _shares(rows: list[Row]) -> list[PartnerShare]:
    counts = Counter((sent.system, sent.operation) for row in rows for sent in row.sent)
    systems = sorted({system for system, _ in counts})
    return [
        PartnerShare(name, sorted((operation, n) for (system, operation), n in counts.items() if system == name))
        for name in systems
    ]
