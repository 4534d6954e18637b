"""Celery tasks. They carry no data: what is due stands in the database."""

import logging
from collections.abc import Callable

from celery import shared_task
from django.conf import settings
from django.db import Error

from changes.bulk import running
from changes.conflicts import is_unavailable

from .outgoing import delivery, outbox
from .workers import shutdown, wakeup

logger = logging.getLogger(__name__)

# How long one call works on bulk jobs, in seconds: the same worker may have operations to send.
BULK_SECONDS = 2.0


@shared_task
def deliver() -> int:
    """Sends whatever is due."""
    return _with_database(delivery.drain)


@shared_task
def dispatch_due() -> int:
    """The sweep: sends what a lost wake-up or a pause between tries left due."""
    return _with_database(delivery.drain)


@shared_task
def release_stale() -> int:
    """Frees what a worker claimed and did not finish."""
    return _with_database(outbox.release_stale)


@shared_task
def bulk() -> int:
    """Works on bulk jobs for a while; what is left then takes its turn behind what else is to be done."""
    return _with_database(_bulk)


@shared_task
def resume_bulk() -> int:
    """The sweep: bulk jobs whose wake-up was lost or whose worker died, and previews that nobody confirmed."""
    return _with_database(lambda: _bulk(2 * BULK_SECONDS + settings.DISPATCH_INTERVAL))


def _bulk(idle_for: float = 0) -> int:
    if idle_for:
        running.clear_drafts()
    if running.run(BULK_SECONDS, shutdown.is_asked, idle_for):
        wakeup.wake_bulk()
    return 0


def _with_database(work: Callable[[], int]) -> int:
    """A database that is gone, or has a conflict, is no fault of the task: the next sweep does the work."""
    try:
        return work()
    except Error as error:
        if not is_unavailable(error):
            raise
        logger.warning("The database cannot do it now, the next sweep tries again: %s", error)
        return 0
