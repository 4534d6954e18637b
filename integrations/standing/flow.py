"""Whether operations flow to a system now, and if not, why. Every page and report uses this answer.

Pure: no database, no clock. `flow_of()` uses the system, its `control`, the time at which its next operation was due,
and why it has taken nothing so far (`status.with_refusal()`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.texts.isolation import apart
from integrations.choices import Breaker, Delivery, Failure

from . import failures, state

if TYPE_CHECKING:
    from integrations.models import DeliveryControl, ExternalSystem

# An operation that is due for longer is late: workers normally take it within seconds.
LATE = timedelta(minutes=1)
# As LATE, for partners that collect their operations: they ask whenever it suits them. One that has not asked for
# longer has stopped collecting, even if nothing waits for it.
LATE_TO_COLLECT = timedelta(hours=1)


# Polls in a row that fail until a page says so: a partner may be restarted.
UNREAD_AFTER = 3


class Condition(TextChoices):
    """The condition of a system. In those of `HOLDING`, nothing is sent except a probe."""

    FLOWING = "flowing", gettext_lazy("Flowing")
    UNTRIED = "untried", gettext_lazy("Not tried yet")
    UNTAKEN = "untaken", gettext_lazy("Nothing taken yet")
    COLLECTED = "collected", gettext_lazy("Collects")
    FAILING = "failing", gettext_lazy("Failing")
    SLOW = "slow", gettext_lazy("Slow")
    UNCOLLECTED = "uncollected", gettext_lazy("Not collected")
    UNREAD = "unread", gettext_lazy("News not read")
    PROBING = "probing", gettext_lazy("Circuit breaker half-open")
    DOWN = "down", gettext_lazy("Circuit breaker open")
    HELD = "held", gettext_lazy("Paused by hand")
    UNCONNECTED = "unconnected", gettext_lazy("Not connected")
    PAUSED = "paused", gettext_lazy("Paused")
    DISABLED = "disabled", gettext_lazy("Disabled")


STOPPED = (Condition.DISABLED, Condition.PAUSED, Condition.UNCONNECTED)
HOLDING = (*STOPPED, Condition.HELD, Condition.DOWN, Condition.PROBING)
TONES = {
    Condition.FLOWING: state.OK,
    Condition.UNTRIED: state.IDLE,
    Condition.UNTAKEN: state.BAD,
    Condition.COLLECTED: state.OK,
    Condition.FAILING: state.BAD,
    Condition.SLOW: state.WAIT,
    Condition.UNCOLLECTED: state.WAIT,
    Condition.UNREAD: state.BAD,
    Condition.PROBING: state.WAIT,
    Condition.DOWN: state.BAD,
    Condition.HELD: state.BAD,
    Condition.UNCONNECTED: state.IDLE,
    Condition.PAUSED: state.BAD,
    Condition.DISABLED: state.IDLE,
}


@dataclass(frozen=True)
class Flow:
    """The state of a system, with the reason in whole sentences in `detail`.

    `since`: None if not known. `next_try_at`: when sending goes on by itself, None if it does not or if not known.
    `asked_at`: when a partner that collects its operations last asked for them, None if never.
    """

    condition: Condition
    detail: str
    since: datetime | None = None
    next_try_at: datetime | None = None
    asked_at: datetime | None = None

    @property
    def word(self) -> str:
        return str(self.condition.label)

    @property
    def tone(self) -> str:
        """One of the tones of state.py, which choose a colour and a sign."""
        return TONES[self.condition]

    @property
    def is_well(self) -> bool:
        """Whether all is well, so that the state needs no explanation where it is about one operation."""
        return self.tone == state.OK or (self.is_untried and self.asked_at is not None)

    @property
    def is_untried(self) -> bool:
        """Whether nothing was tried, so that nobody knows whether the exchange works."""
        return self.condition == Condition.UNTRIED

    @property
    def has_taken_nothing(self) -> bool:
        """Whether no operation has shown yet that the exchange works."""
        return self.condition in (Condition.UNTRIED, Condition.UNTAKEN)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing at all is sent until an administrator enables or resumes it."""
        return self.condition in STOPPED

    @property
    def is_holding(self) -> bool:
        """Whether all operations wait because of the system, even those that are next and due."""
        return self.condition in HOLDING


def flow_of(system: ExternalSystem, now: datetime, due_since: datetime | None = None) -> Flow:
    """The flow of `system`, which was loaded with its `control`.

    `due_since`: since when the next operation is due, None if none is. It only tells slow from flowing, so a caller
    that just needs to know whether operations are held back may leave it out. For a partner that collects its
    operations: when the oldest of those that it can have was recorded.
    """
    names = {"system": system}
    if not system.enabled:
        told = _("%(system)s is disabled: operations are recorded and wait until it is enabled.")
        return Flow(Condition.DISABLED, told % names)
    if system.paused_at is not None:
        told = _("Sending is paused: %(reason)s Operations wait until an administrator resumes it.")
        if system.delivery == Delivery.MAPPED:
            told = _(
                "Sending is paused: %(reason)s Operations wait until the secret is written anew, or somebody resumes."
            )
        return Flow(Condition.PAUSED, told % {"reason": failures.pause_cause(system)}, system.paused_at)
    if system.is_unconnected:
        told = _("%(system)s has no active connection: operations wait until an administrator activates one.")
        return Flow(Condition.UNCONNECTED, told % names)
    # A system that was created without save() gets its control a little later, from `release_stale()`.
    control: DeliveryControl | None = getattr(system, "control", None)
    if system.collects:
        return _of_one_that_collects(system, control, now, due_since)
    if control is None:
        return _untried(system)
    return _held_back(system, control, now) or _of_one_that_is_called(system, control, now, due_since)


def _held_back(system: ExternalSystem, control: DeliveryControl, now: datetime) -> Flow | None:
    """The flow if the circuit breaker is not closed; None if it is."""
    until, since = control.breaker_until, control.breaker_opened_at
    reason, is_by_hand = failures.breaker_reason(control), until is None
    names = {"system": system, "reason": apart(state.ended(reason) if is_by_hand else state.sentence(reason))}
    if control.breaker == Breaker.CLOSED:
        return None
    if control.breaker == Breaker.HALF_OPEN:
        probing = _("%(reason)s One operation is being sent to %(system)s as a probe; the others wait for it.")
        return Flow(Condition.PROBING, probing % names, since)
    if until is None:
        opened = _(
            "Somebody paused sending to %(system)s: %(reason)s Nothing is sent until an administrator resumes it."
        )
        return Flow(Condition.HELD, opened % names, since)
    if until <= now:
        due = _("%(reason)s The next operation for %(system)s that is due is sent as a probe; the others wait for it.")
        return Flow(Condition.DOWN, due % names, since)
    waiting = _("%(reason)s Nothing is sent to %(system)s until one operation gets through as a probe.")
    return Flow(Condition.DOWN, waiting % names, since, until)


def _of_one_that_collects(
    system: ExternalSystem, control: DeliveryControl | None, now: datetime, due_since: datetime | None
) -> Flow:
    names, asked_at = {"system": system}, control.asked_at if control else None
    is_overdue = due_since is not None and now - due_since > LATE_TO_COLLECT
    if asked_at is None:
        told = _("%(system)s has not asked for its operations yet.") % names
        return Flow(Condition.UNCOLLECTED, told, due_since) if is_overdue else Flow(Condition.UNTRIED, told)
    if now - asked_at > LATE_TO_COLLECT:
        told = _("%(system)s has not asked for its operations since then.")
        return Flow(Condition.UNCOLLECTED, told % names, asked_at, asked_at=asked_at)
    if is_overdue:
        told = _("%(system)s asks for its operations, but does not confirm one that it could have.")
        return Flow(Condition.UNCOLLECTED, told % names, due_since, asked_at=asked_at)
    if (control is None or control.first_delivered_at is None) and (refusal := _refusal(system)):
        told = _("%(system)s asks for its operations, but has taken none so far. %(reason)s")
        return Flow(Condition.UNTAKEN, told % {**names, "reason": refusal}, asked_at=asked_at)
    if control is None or control.first_delivered_at is None:
        told = _("%(system)s asks for its operations, but has not had one yet. A test operation shows whether it can.")
        return Flow(Condition.UNTRIED, told % names, asked_at=asked_at)
    return Flow(Condition.COLLECTED, _("%(system)s collects its operations itself.") % names, asked_at=asked_at)


def _of_one_that_is_called(
    system: ExternalSystem, control: DeliveryControl, now: datetime, due_since: datetime | None
) -> Flow:
    if failing := _failing(system, control):
        return failing
    if due_since is not None and now - due_since > LATE:
        told = _("Operations have been due for a while, and no worker has taken them.")
        if system.rate_limit:
            told = _("More is due than the limit of %(limit)s operations a minute lets through.")
        return Flow(Condition.SLOW, told % {"limit": system.rate_limit}, due_since)
    if (poll := system.loaded_poll) and poll.failures >= UNREAD_AFTER:
        told = _("The news of %(system)s cannot be read: %(reason)s Operations are still sent.")
        values = {"system": system, "reason": apart(state.sentence(poll.last_error))}
        return Flow(Condition.UNREAD, told % values, poll.failing_since, poll.due_at)
    if control.first_delivered_at is None:
        return _untried(system)
    return Flow(Condition.FLOWING, _("Operations are sent to %(system)s.") % {"system": system})


def _failing(system: ExternalSystem, control: DeliveryControl) -> Flow | None:
    """The flow if the latest tries failed. None if they did not, or if they are all that there was, and are given up:
    `_untried()` then says more."""
    failed = control.consecutive_failures
    if not failed:
        return None
    told = ngettext(
        "The latest try failed; it is repeated.", "The latest %(count)s tries failed; they are repeated.", failed
    )
    # Counted by `status.with_traffic()`. Who has not counted says nothing of an end.
    if getattr(system, "unsettled_count", None) == getattr(system, "refused_count", 0):
        if control.first_delivered_at is None and _refusal(system):
            return None
        told = ngettext(
            "The latest try failed, and nothing waits.",
            "The latest %(count)s tries failed, and nothing waits.",
            failed,
        )
    return Flow(Condition.FAILING, told % {"count": failed})


def _untried(system: ExternalSystem) -> Flow:
    if refusal := _refusal(system):
        told = _("%(system)s was tried, and has taken nothing so far. %(reason)s")
        return Flow(Condition.UNTAKEN, told % {"system": system, "reason": refusal})
    told = _("%(system)s has not taken an operation yet. A test operation shows whether it can.")
    return Flow(Condition.UNTRIED, told % {"system": system})


def _refusal(system: ExternalSystem) -> str:
    """Why the system did not take what it was tried with, in a sentence; "" if nothing was, or if that is not read.

    What was sent before by the other way, called or collecting, tells nothing of this one.
    """
    why: dict[str, Any] | None = getattr(system, "refusal", None)
    if why is None or (why["failure"] == Failure.REFUSED) != system.collects:
        return ""
    return failures.failed_try(system, why["failure"], why["status"], why["error"])
