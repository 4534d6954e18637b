"""Sends a test operation: a real change that is given to a partner and withdrawn at once, on the usual way.

The partner gets an Assign and a Cancel, so its record ends cancelled; here the change ends abandoned. findings.py
explains the results.
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
from integrations.connections.delivering import made_no_call
from integrations.models import DeliveryAttempt, ExternalReference, ExternalSystem, OutgoingOperation
from integrations.pages.change_panel import OutgoingRow, outgoing_row
from integrations.standing.state import OK
from integrations.standing.status import SystemStatus

from .findings import Finding, finding

PERMISSION = "integrations.change_externalsystem"
# What the partner reads. English, because it is stored and sent.
DESCRIPTION = (
    "This change tests the exchange between two service desks. Nothing is to be done: it is cancelled at once, "
    "by a Cancel that follows this Assign."
)
# How many of the latest tries are read to find the last one of each operation.
TRIES_READ = 20


def title_of(system: ExternalSystem) -> str:
    """The title of a test change, which explains it to anybody who sees it in a list, here or at the partner."""
    return f"Test of the exchange with {system}: please ignore"


def groups_of(system: ExternalSystem) -> QuerySet[SupportGroup]:
    """The support groups that belong to the system. Giving a change to one of them gives it to the partner."""
    return SupportGroup.objects.filter(external_group__system=system).order_by("name")


def send(system: ExternalSystem, group: SupportGroup, user: User) -> Change:
    """Creates a change that `group` owns and withdraws it, which records an Assign and a Cancel. Returns the change.

    All in one transaction, so there is never a test change that was not withdrawn. Also logs the test in the admin's
    history of `system`.
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
    """The change of the latest test with an unsettled operation; None if there is none."""
    operations = OutgoingOperation.objects.unsettled().filter(
        system=system, change__title=title_of(system), change__phase=Phase.ABANDON
    )
    latest = operations.select_related("change").order_by("-created_at", "-id").first()
    return latest.change if latest else None


@dataclass(frozen=True)
class Step:
    """One operation of a test, its latest try (None if not tried yet), and what that means."""

    row: OutgoingRow
    attempt: DeliveryAttempt | None
    finding: Finding

    @property
    def operation(self) -> OutgoingOperation:
        return self.row.operation


@dataclass(frozen=True)
class TestOperation:
    """The state of a test at the moment `at`. `reference`: the partner's record, None if it has not named one."""

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
        return all(step.finding.tone == OK for step in self.steps)

    @property
    def head(self) -> Step:
        """The step that decides the state of the test: the first unsettled one, otherwise the last."""
        return next((step for step in self.steps if not step.operation.is_settled), self.steps[-1])

    @property
    def took(self) -> timedelta | None:
        """The time from recording the test until all its operations were settled; None before that."""
        ends = [step.operation.settled_at for step in self.steps if step.operation.settled_at]
        return max(ends) - self.steps[0].operation.created_at if len(ends) == len(self.steps) else None


def test_operation(status: SystemStatus, number: str) -> TestOperation | None:
    """The test of this system whose change has this number; None if there is none."""
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
        is_uncalled = attempt is not None and made_no_call(attempt)
        steps.append(Step(row, attempt, finding(row.operation, status, row.blocker, is_uncalled=is_uncalled)))
    reference = ExternalReference.objects.filter(change=change, system=system).first()
    return TestOperation(change, status, steps, reference, now)
