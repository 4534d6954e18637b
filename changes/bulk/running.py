"""Carrying out bulk jobs: each record in a transaction of its own, with its result.

Whoever runs takes a record by its row lock and skips what others hold, so any number of workers share a job. One that
is killed leaves nothing but a lock that is gone with it: the record is then as it was, and waits for the next who
looks.
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

from changes.actor import acting
from changes.choices import ItemStatus
from changes.conflicts import is_unavailable, retry
from changes.exceptions import ChangeRefused
from changes.models import BulkItem, BulkJob

from .kind import AlreadySo, NotDone, Result, kind_of

logger = logging.getLogger(__name__)

# How long a preview that nobody confirmed is kept.
DRAFTS_KEPT = timedelta(days=1)


def run(seconds: float, is_ending: Callable[[], bool] = lambda: False, idle_for: float = 0) -> bool:
    """Works on the jobs that were started, a record of each in turn, for so many seconds. Says whether there is more.

    With `idle_for`, on those alone that nobody has worked on for so many seconds. `is_ending` is asked before each
    record.
    """
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
        # One from the future: the clock was set back since.
        idle = Q(active_at=None) | Q(active_at__lt=now - timedelta(seconds=idle_for)) | Q(active_at__gt=now)
        wanted = wanted.filter(idle)
    jobs = list(wanted)
    keys = [job.pk for job in jobs]
    BulkJob.objects.filter(pk__in=keys, started_at=None).update(started_at=now)
    BulkJob.objects.filter(pk__in=keys).update(active_at=now)
    return jobs


def _finish(job: BulkJob) -> None:
    """Unless somebody else still has a record of it in hand, who then comes here later."""
    waiting = BulkItem.objects.filter(job=OuterRef("pk"), status=ItemStatus.WAITING)
    BulkJob.objects.filter(~Exists(waiting), pk=job.pk, finished_at=None).update(finished_at=timezone.now())


def _do_next(job: BulkJob) -> bool:
    """Does the next record that nobody has in hand. Returns whether there was one."""
    taken: list[BulkItem] = []

    def work() -> bool:
        taken.clear()
        with transaction.atomic():
            # A job that was stopped is finished: what waits then stays undone.
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
        # Of a record that somebody else holds for too long the others need not wait; of a lost database all do.
        if not (taken and is_unavailable(error) and connection.is_usable()):
            raise
        logger.warning("%s of a bulk job was given up: %s", taken[0], error)
        _record(taken[0], Result(_("Somebody else held it for too long. Try it again."), ItemStatus.FAILED))
        return True


def _record(item: BulkItem, result: Result) -> None:
    BulkItem.objects.filter(pk=item.pk, status=ItemStatus.WAITING).update(
        status=result.status, message=result.message[:1000], done_at=timezone.now()
    )


def _result(job: BulkJob, item: BulkItem) -> Result:
    """Does one record. What it wrote is undone unless it was done."""
    with translation.override(job.language):
        try:
            with transaction.atomic():
                return _do(job, item)
        except AlreadySo as already:
            return Result(str(already), ItemStatus.UNCHANGED)
        except (NotDone, ChangeRefused) as refused:
            return Result(str(refused), ItemStatus.FAILED)
        except ValidationError as error:
            return Result(" ".join(error.messages), ItemStatus.FAILED)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # A fault of ours with one record must neither stop the others nor be met again and again.
            logger.exception("%s of the bulk job %s failed unexpectedly", item, job.pk)
            return Result(_("An internal error: nothing of it was kept. The log says more."), ItemStatus.FAILED)


def _do(job: BulkJob, item: BulkItem) -> Result:
    # Read anew for each record: a permission that was taken away counts from now on.
    user: Any = get_user_model().objects.get(pk=job.user_id)
    kind = kind_of(job)
    if not (user.is_active and user.is_staff and user.has_perm(kind.permission)):
        raise NotDone(_("You may not do this any more."))
    with acting(user):
        return kind.do(job, item, user)


def clear_drafts() -> None:
    """Forgets previews that nobody confirmed."""
    BulkJob.objects.filter(confirmed_at=None, created_at__lt=timezone.now() - DRAFTS_KEPT).delete()
