"""What the exchange adds to bulk jobs: a forecast of what they send, and a job that retries many operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.bulk.drafts import Target, draft
from changes.bulk.kind import KINDS, AlreadySo, Intent, Kind, NotDone, Proposal, Result, Sent
from changes.exceptions import Labels, Said
from changes.models import BulkItem, BulkJob
from changes.pages.fields import end_of
from changes.security_log.recording import Subject, record
from integrations.choices import COLLECTING, DeliveryStatus
from integrations.models import OutgoingOperation
from integrations.outgoing import outbox
from integrations.outgoing.preview import Reading
from integrations.standing.flow import Condition, flow_of

# The most operations that one job retries, the oldest of its time window.
LARGEST_RETRY = 10_000
STUCK = (DeliveryStatus.WAITING, DeliveryStatus.REFUSED)


def forecast(intents: Sequence[Intent]) -> list[list[Sent]]:
    """For each intent the operations that it would send, by the same rules as the real save."""
    reading = Reading([intent.stored for intent in intents], [intent.draft.owning_group_id for intent in intents])
    previews = [
        reading.of_comment(intent.draft, intent.comment)
        if intent.comment
        else reading.of_save(intent.stored, intent.draft)
        for intent in intents
    ]
    return [[Sent(operation, system) for operation, system in preview.operations] for preview in previews]


# --- Retrying stuck operations ---


@dataclass(frozen=True)
class Window:
    """A time window, with all of its last minute `until`, and a system. An empty `system` means all systems."""

    system: str
    since: datetime
    until: datetime

    def stuck(self) -> QuerySet[OutgoingOperation]:
        """The operations recorded in the window that wait or were refused, oldest first.

        Without those that wait for a partner that collects: it can have them already.
        """
        rows = OutgoingOperation.objects.unsettled()
        rows = rows.filter(created_at__gte=self.since, created_at__lt=end_of(self.until))
        rows = rows.filter(status__in=STUCK).exclude(status=DeliveryStatus.WAITING, system__delivery__in=COLLECTING)
        return (rows.filter(system__system_id=self.system) if self.system else rows).order_by("created_at", "id")


def retry_draft(user: User, window: Window, back: str) -> BulkJob | None:
    """An unconfirmed job that retries the stuck operations of this window; None if there are none.

    Contains at most the oldest `LARGEST_RETRY`. `back`: the address that its preview page leads back to.
    """
    fields = ("pk", "operation", "sequence", "system__system_id", "change__number", "status", "created_at")
    rows = list(window.stuck().values_list(*fields)[: LARGEST_RETRY + 1])
    taken = rows[:LARGEST_RETRY]
    if not taken:
        return None
    targets = [
        Target(str(pk), f"{operation} {sequence} to {system} ({number})")
        for pk, operation, sequence, system, number, *_ in taken
    ]
    shares = Counter((system, status) for _, _, _, system, _, status, _ in taken)
    parameters = {
        "system": window.system,
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "oldest": taken[0][-1].isoformat(),
        "newest": taken[-1][-1].isoformat(),
        "shares": [[system, status, count] for (system, status), count in sorted(shares.items())],
        "is_capped": len(rows) > LARGEST_RETRY,
    }
    return draft(KINDS[RetryOperations.name], user, parameters, targets, back)


class RetryOperations(Kind):
    name = "retry"
    permission = "integrations.retry_outgoingoperation"

    def title(self, job: BulkJob) -> str:
        system = job.parameters["system"]
        return _("Retry operations to %(system)s") % {"system": system} if system else _("Retry operations")

    def start_label(self, job: BulkJob, count: int) -> str:
        return ngettext("Retry %(count)s operation", "Retry %(count)s operations", count) % {"count": count}

    def preview(self, job: BulkJob) -> Proposal:
        """Shows the numbers as of the choice, a moment ago, without counting again."""
        times = {name: parse_datetime(job.parameters[name]) for name in ("since", "until", "oldest", "newest")}
        context = {
            **job.parameters,
            **times,
            "shares": [(name, DeliveryStatus(status).label, count) for name, status, count in job.parameters["shares"]],
            "count": job.total,
            "largest": number_format(LARGEST_RETRY, force_grouping=True),
        }
        return Proposal(job.total, "integrations/includes/retry_preview.html", context)

    def do(self, job: BulkJob, item: BulkItem, user: User) -> Result:
        operation = OutgoingOperation.objects.select_related("system__control").filter(pk=item.target).first()
        if operation is None:
            raise NotDone(_("There is no such operation any more."))
        try:
            outbox.retry_now(operation, is_one_of_many=True)
        except outbox.NotOpen:
            status = Labels([operation.get_status_display()])
            raise AlreadySo(Said(_("It is %(status)s now."), {"status": status})) from None
        flow, names = flow_of(operation.system, timezone.now()), {"system": operation.system}
        if flow.is_stopped:
            return Result(Said(_("It is sent once %(system)s is enabled and not paused."), names))
        if flow.condition == Condition.HELD:
            return Result(Said(_("It is sent once somebody resumes sending to %(system)s."), names))
        if operation.system.collects:
            return Result(Said(_("%(system)s gets it when it next asks."), names))
        return Result(_("It is sent as soon as it is its turn."))

    def started(self, job: BulkJob) -> None:
        named = {name: job.parameters[name] for name in ("since", "until")}
        about = Subject("integrations.externalsystem", "", job.parameters["system"])
        record("retry_started", about, {"count": job.total, "job": str(job.pk), **named})

    def address(self, item: BulkItem) -> str:
        return reverse("exchange:operation", args=[item.target])
