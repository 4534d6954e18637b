"""Celery tasks. They carry no data: what is due stands in the database."""

import logging
from collections.abc import Callable

from celery import shared_task
from django.db import Error

from changes.conflicts import is_unavailable

from . import delivery, outbox

logger = logging.getLogger(__name__)


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


def _with_database(work: Callable[[], int]) -> int:
    """A database that is gone, or has a conflict, is no fault of the task: the next sweep does the work."""
    try:
        return work()
    except Error as error:
        if not is_unavailable(error):
            raise
        logger.warning("The database cannot do it now, the next sweep tries again: %s", error)
        return 0
