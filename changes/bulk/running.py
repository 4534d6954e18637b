"""Runs bulk jobs: each record in its own transaction, together with its result.

A worker claims a record by its row lock and skips locked ones, so any number of workers can share a job. If a worker
is killed, the database rolls back its transaction and releases the lock. The record is then unaltered, and another
worker does it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from changes import work
from changes.actor import acting
from changes.choices import ItemStatus
from changes.conflicts import is_unavailable, retry
from changes.exceptions import ChangeRefused, kept_of, said_of
from changes.models import BulkItem, BulkJob, restored_copy

from .kind import AlreadySo, NotDone, Result, kind_of

logger = logging.getLogger(__name__)

# A draft that nobody confirmed is deleted after this time.
DRAFTS_KEPT = timedelta(days=1)


def run(seconds: float, is_ending: Callable[[], bool] = lambda: False, idle_for: float = 0) -> bool:
    """Works on all started jobs for up to `seconds`, one record of each in turn. Returns whether work is left.

    With `idle_for`, it takes only jobs that nobody has worked on for that many seconds. It stops early when
    `is_ending()`, which is called before each record, returns True. In a restored copy that waits it does nothing.
    """
    if restored_copy():
        return False  # the original has gone on: what a job would send has new ids, so partners could not tell
    until = time.monotonic() + seconds
    jobs = _begin(idle_for)
    while jobs:
        for job in list(jobs):
            if time.monotonic() >= until or is_ending():
                return True
            if not _do_next(job):
                _finish(job)
                jobs.remove(job)
    return False


def _begin(idle_for: float) -> list[BulkJob]:
    now = timezone.now()
    wanted = BulkJob.objects.unfinished()
    if idle_for:
        # A time in the future: the clock was set back since.
        idle = Q(active_at=None) | Q(active_at__lt=now - timedelta(seconds=idle_for)) | Q(active_at__gt=now)
        wanted = wanted.filter(idle)
    jobs = list(wanted)
    keys = [job.pk for job in jobs]
    BulkJob.objects.filter(pk__in=keys, started_at=None).update(started_at=now)
    BulkJob.objects.filter(pk__in=keys).update(active_at=now)
    return jobs


def _finish(job: BulkJob) -> None:
    """Finishes the job unless a record is still waiting. A worker that still holds one finishes the job later."""
    waiting = BulkItem.objects.filter(job=OuterRef("pk"), status=ItemStatus.WAITING)
    BulkJob.objects.filter(~Exists(waiting), pk=job.pk, finished_at=None).update(finished_at=timezone.now())


def _do_next(job: BulkJob) -> bool:
    """Does the next record that no other worker holds. Returns whether there was one."""
    taken: list[BulkItem] = []

    def work() -> bool:
        taken.clear()
        with transaction.atomic():
            # A stopped job counts as finished, so its waiting records are not found.
            waiting = BulkItem.objects.filter(job=job, job__finished_at=None, status=ItemStatus.WAITING)
            item = waiting.select_for_update(skip_locked=True, of=("self",), no_key=True).order_by("position").first()
            if item is None:
                return False
            taken.append(item)
            _record(item, _result(job, item))
        return True

    try:
        return retry(work)
    except Error as error:
        # A record that is locked for too long must not hold up the others. Without a database, all must wait.
        if not (taken and is_unavailable(error) and connection.is_usable()):
            raise
        logger.warning("%s of a bulk job was given up: %s", taken[0], error)
        _record(taken[0], Result(_("The record was locked for too long. Try it again."), ItemStatus.FAILED))
        return True


def _record(item: BulkItem, result: Result) -> None:
    BulkItem.objects.filter(pk=item.pk, status=ItemStatus.WAITING).update(
        status=result.status,
        message=result.message[:1000],
        kept=kept_of(result.message),
        done_at=timezone.now(),
    )


def _result(job: BulkJob, item: BulkItem) -> Result:
    """Does one record; rolls back its writes unless it succeeds. Raises only OperationalError and InterfaceError."""
    with translation.override("en"):  # so that pages can translate the result
        try:
            with transaction.atomic():
                return _do(job, item)
        except AlreadySo as already:
            return Result(already.args[0], ItemStatus.UNCHANGED)
        except (NotDone, ChangeRefused) as refused:
            return Result(refused.args[0], ItemStatus.FAILED)
        except ValidationError as error:
            return Result(said_of(error), ItemStatus.FAILED)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # A bug that affects one record must neither stop the others nor be retried forever.
            logger.exception("%s of the bulk job %s failed unexpectedly", item, job.pk)
            return Result(_("An internal error: nothing was saved. See the log for details."), ItemStatus.FAILED)


def _do(job: BulkJob, item: BulkItem) -> Result:
    # Loaded again for each record, so that a revoked permission takes effect at once.
    user: Any = get_user_model().objects.get(pk=job.user_id)
    kind = kind_of(job)
    if not (user.is_active and user.is_staff and user.has_perm(kind.permission)):
        raise NotDone(_("You may not do this any more."))
    with acting(user), work.working_on(work.RequestWork(job.request_id)):
        return kind.do(job, item, user)


def clear_drafts() -> None:
    """Deletes drafts that nobody confirmed within `DRAFTS_KEPT`."""
    BulkJob.objects.filter(confirmed_at=None, created_at__lt=timezone.now() - DRAFTS_KEPT).delete()
