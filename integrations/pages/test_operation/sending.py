"""A test operation: a real change that is given to a partner and taken back at once, the same way as any other.

The partner gets an Assign and a Cancel, so its desk ends with a cancelled record; here the change ends abandoned.
What became of them, in words: findings.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from changes.actor import acting
from changes.choices import ChangeType, CompletionCode, Phase
from changes.models import Change, SupportGroup
from integrations.choices import DeliveryStatus
from integrations.models import DeliveryAttempt, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.pages.change_panel import OutgoingRow, outgoing_row
from integrations.standing.status import SystemStatus

from .findings import Finding, finding

PERMISSION = "integrations.change_externalsystem"
# What the partner reads. It is stored and sent, so it is English.
DESCRIPTION = (
    "This change tests the exchange between two service desks. Nothing is to be done: it is cancelled at once, "
    "by a Cancel that follows this Assign."
)
# So many of the latest tries are read; what is shown is the last one of each operation.
TRIES_READ = 20


def title_of(system: ExternalSystem) -> str:
    """It names the test for those who meet it in a list, here and at the partner's."""
    return f"Test of the exchange with {system}: please ignore"


def groups_of(system: ExternalSystem) -> QuerySet[SupportGroup]:
    """Giving a change to one of these gives it to the partner."""
    return SupportGroup.objects.filter(external_group__system=system).order_by("name")


def send(system: ExternalSystem, group: SupportGroup, user: User) -> Change:
    """Records the Assign and the Cancel of a new change that `group` owns, and writes it into the history of `system`.

    All in one transaction: there is never a test that was given and not taken back.
    """
    with acting(user), transaction.atomic():
        change = Change(
            title=title_of(system),
            description=DESCRIPTION,
            change_type=ChangeType.STANDARD,
            requested_by=user,
            owning_group=group,
        )
        change.save()
        change.completion_code = CompletionCode.WITHDRAWN
        change.move_to(Phase.ABANDON)
        change.save()
        LogEntry.objects.log_actions(
            user.pk, [system], CHANGE, f"Sent a test operation: {change.number}.", single_object=True
        )
    return change


def unfinished(system: ExternalSystem) -> Change | None:
    """The latest test of which the partner has not taken everything yet."""
    operations = OutgoingOperation.objects.unsettled().filter(
        system=system, change__title=title_of(system), change__phase=Phase.ABANDON
    )
    latest = operations.select_related("change").order_by("-created_at", "-id").first()
    return latest.change if latest else None


@dataclass(frozen=True)
class Step:
    """One operation of a test, its latest try, and what that means."""

    row: OutgoingRow
    attempt: DeliveryAttempt | None
    finding: Finding

    @property
    def operation(self) -> OutgoingOperation:
        return self.row.operation


@dataclass(frozen=True)
class TestOperation:
    """A test as it stands at the moment `at`."""

    change: Change
    status: SystemStatus
    steps: list[Step]
    reference: ExternalReference | None
    at: datetime

    @property
    def is_settled(self) -> bool:
        return all(step.operation.is_settled for step in self.steps)

    @property
    def is_delivered(self) -> bool:
        return all(step.operation.status == DeliveryStatus.DELIVERED for step in self.steps)

    @property
    def head(self) -> Step:
        """The one that tells how the test stands: the first that is not settled, or the last."""
        return next((step for step in self.steps if not step.operation.is_settled), self.steps[-1])

    @property
    def took(self) -> timedelta | None:
        """From recording it until the partner had all of it."""
        ends = [step.operation.settled_at for step in self.steps if step.operation.settled_at]
        return max(ends) - self.steps[0].operation.created_at if len(ends) == len(self.steps) else None


def test_operation(status: SystemStatus, number: str) -> TestOperation | None:
    """The test of this system that the change with this number is; None if there is no such."""
    system, now = status.system, status.at
    operations = (
        OutgoingOperation.objects.filter(system=system, change__number=number, change__title=title_of(system))
        .with_neighbours()
        .select_related("change")
        .defer("payload")
        .order_by("sequence")
    )
    rows = [outgoing_row(operation) for operation in operations]
    if not rows:
        return None
    change = rows[0].operation.change
    tries = DeliveryAttempt.objects.filter(operation__in=[row.operation.pk for row in rows]).order_by(
        "started_at", "id"
    )
    latest = {attempt.operation_id: attempt for attempt in reversed(tries.reverse()[:TRIES_READ])}
    steps = []
    for row in rows:
        attempt = latest.get(row.operation.pk)
        steps.append(Step(row, attempt, finding(row.operation, status, row.blocker)))
    reference = ExternalReference.objects.filter(change=change, system=system).first()
    return TestOperation(change, status, steps, reference, now)
