"""The kinds of bulk jobs, and what another app adds to them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import User

from changes.choices import ItemStatus

if TYPE_CHECKING:
    from changes.models import BulkItem, BulkJob, Change, Comment


class NotDone(Exception):  # noqa: N818 - says the state, as the changes' exceptions do
    """The record cannot be done, for this reason; it stays as it was."""


class Outdated(NotDone):
    """As NotDone, since something else is true of it than when it was chosen: it may be looked at again."""


class AlreadySo(Exception):  # noqa: N818 - as above
    """There is nothing to do, for this reason."""


@dataclass(frozen=True)
class Result:
    """What became of one record, in words for the person who asked."""

    message: str
    status: ItemStatus = ItemStatus.DONE


@dataclass(frozen=True)
class Proposal:
    """What a draft would do: how many records, and whatever else `template` shows of it."""

    doable: int
    template: str
    context: dict[str, Any]


class Kind(ABC):
    """Something that can be done to many records. `permission` is asked of the person for each record."""

    name: ClassVar[str]
    permission: ClassVar[str]

    @abstractmethod
    def title(self, job: BulkJob) -> str:
        """What the job does, as the head of its page: `Reassign to Network`."""

    @abstractmethod
    def start_label(self, job: BulkJob, count: int) -> str:
        """What the button that starts it says."""

    @abstractmethod
    def preview(self, job: BulkJob) -> Proposal:
        """Reads only. As many queries for many records as for few."""

    @abstractmethod
    def do(self, job: BulkJob, item: BulkItem, user: User) -> Result:
        """Does one record, inside of a transaction, as `user`.

        Raises AlreadySo, or when it cannot NotDone, ChangeRefused or ValidationError: whatever it wrote is then undone.
        """

    @abstractmethod
    def address(self, item: BulkItem) -> str:
        """The page of the record."""


KINDS: dict[str, Kind] = {}


def kind_of(job: BulkJob) -> Kind:
    """What a job does. Raises KeyError for a kind that is not there any more."""
    return KINDS[job.kind]


def register(kind: Kind) -> None:
    """Makes jobs of this kind possible. See changes/extensions.py."""
    KINDS[kind.name] = kind


# --- What the exchange adds ---


@dataclass(frozen=True)
class Intent:
    """What is about to happen to a change: a save of `draft` where the database has `stored`, or a comment on it."""

    stored: Change
    draft: Change
    comment: Comment | None = None


@dataclass(frozen=True)
class Sent:
    """An operation that is about to be recorded for a partner."""

    operation: str
    system: str


Forecast = Callable[[Sequence[Intent]], list[list[Sent]]]


@dataclass
class Hooks:
    """`forecast` says what each intent sends, with a number of queries that does not depend on their number; `wake`
    tells the workers, once the transaction commits, that a job was started."""

    forecast: Forecast = lambda intents: [[] for _ in intents]
    wake: Callable[[], None] = lambda: None


hooks = Hooks()
