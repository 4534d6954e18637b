"""The kinds of bulk jobs, and the hooks for another app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import User

from changes.choices import ItemStatus

if TYPE_CHECKING:
    from changes.models import Approval, BulkItem, BulkJob, Change, Comment


class NotDone(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """The action is not possible on this record, for this reason, a text as in `Result`. The record was not altered."""


class Outdated(NotDone):
    """The record or its recipients changed since it was chosen. It can be done after a new preview."""


class AlreadySo(Exception):  # noqa: N818 - as above
    """The record needs no alteration, for this reason, a text as in `Result`."""


@dataclass(frozen=True)
class Result:
    """The result for one record. The message is English: pages translate it, if it is `Said` or without values."""

    message: str
    status: ItemStatus = ItemStatus.DONE


@dataclass(frozen=True)
class Proposal:
    """The preview of a draft: the number of records that can be done, and a template with its context."""

    doable: int
    template: str
    context: dict[str, Any]


class Kind(ABC):
    """An action on many records. The job's user needs `permission`, which is checked again for each record."""

    name: ClassVar[str]
    permission: ClassVar[str]

    @abstractmethod
    def title(self, job: BulkJob) -> str:
        """The title of the job's page, such as `Reassign to Network`."""

    @abstractmethod
    def start_label(self, job: BulkJob, count: int) -> str:
        """The label of the start button. `count` is the number of records that can be done."""

    @abstractmethod
    def preview(self, job: BulkJob) -> Proposal:
        """What the job would do. Only reads; the number of queries does not depend on the number of records."""

    @abstractmethod
    def do(self, job: BulkJob, item: BulkItem, user: User) -> Result:
        """Does the action on one record as `user`. The caller has opened a transaction.

        Raises AlreadySo if nothing has to be done; NotDone, ChangeRefused or ValidationError if it is not possible.
        After any of these the caller rolls back.
        """

    @abstractmethod
    def address(self, item: BulkItem) -> str:
        """The address of the record's page."""

    def started(self, job: BulkJob) -> None:  # noqa: B027 - most kinds do nothing here
        """Called in the transaction in which a person starts the job."""


KINDS: dict[str, Kind] = {}


def kind_of(job: BulkJob) -> Kind:
    """The kind of a job. Raises KeyError if no app registers this kind any more."""
    return KINDS[job.kind]


def register(kind: Kind) -> None:
    """Makes jobs of this kind possible. See changes/extensions.py."""
    KINDS[kind.name] = kind


# --- Hooks for the exchange ---


@dataclass(frozen=True)
class Intent:
    """What is about to happen to a change: `addition` is added, or without one `draft` is saved over `stored`."""

    stored: Change
    draft: Change
    addition: Comment | Approval | None = None

    @property
    def comment(self) -> Comment | None:
        """The comment that is added. Of the additions, only comments are sent to partners."""
        return None if self.addition is None or hasattr(self.addition, "decision") else self.addition


@dataclass(frozen=True)
class Sent:
    """An operation that is about to be recorded for a partner."""

    operation: str
    system: str


Forecast = Callable[[Sequence[Intent]], list[list[Sent]]]


@dataclass
class Hooks:
    """Functions that another app replaces.

    `forecast` returns the operations that each intent would send; its number of queries must not depend on the number
    of intents. `wake` tells the workers that a job was started; it is called after the commit.
    """

    forecast: Forecast = lambda intents: [[] for _ in intents]
    wake: Callable[[], None] = lambda: None


hooks = Hooks()
