"""Celery tasks. Their messages carry no data: the database says what is due."""

import logging
from collections.abc import Callable

from celery import shared_task
from django.conf import settings
from django.db import Error

from changes.bulk import running
from changes.conflicts import count_error, is_unavailable
from changes.security_log import chain, mailing

from .connections import polling
from .outgoing import delivery, outbox
from .retention import sweeping
from .smax import accounts, uploads
from .tokens import ending
from .workers import shutdown, signs, wakeup

logger = logging.getLogger(__name__)

# Seconds that one call works on bulk jobs. Short, because the same worker may have operations to send.
BULK_SECONDS = 2.0
# Seconds that one call removes old records. The next one goes on.
RETENTION_SECONDS = 60.0


@shared_task
def deliver() -> int:
    """Sends whatever is due. Returns the number of tries."""
    return _with_database(delivery.drain)


@shared_task
def dispatch_due() -> int:
    """The sweep: sends operations whose wake-up was lost or whose pause between tries has ended."""
    return _with_database(delivery.drain, signs.DELIVERY)


@shared_task
def release_stale() -> int:
    """Frees operations that a worker claimed and did not finish in time. Returns how many.

    It also notes the news on changes that were locked when the news came.
    """
    return _with_database(lambda: outbox.release_stale() + outbox.note_missed(), signs.HOUSEKEEPING)


@shared_task
def poll_due() -> int:
    """Asks mapped partners for their news. Returns the number of polls."""
    return _with_database(polling.poll_due)


@shared_task
def bulk() -> int:
    """Works on bulk jobs for `BULK_SECONDS`. The rest is queued again, behind the other tasks."""
    return _with_database(_bulk)


@shared_task
def resume_bulk() -> int:
    """The sweep: resumes bulk jobs whose wake-up was lost or whose worker died, and clears unconfirmed previews."""
    return _with_database(lambda: _bulk(2 * BULK_SECONDS + settings.DISPATCH_INTERVAL))


@shared_task
def tend_security_log() -> int:
    """The sweep: appends events whose process died after the commit, and sends mail about events."""
    return _with_database(lambda: chain.seal() + mailing.send_due())


@shared_task
def tend_tokens() -> int:
    """The sweep: revokes the tokens of inactive accounts, and tells people of tokens that end. Returns how many.

    It also drops what SMAX adapters left: tokens that have ended, and files that no write linked.
    """
    return _with_database(lambda: ending.tend() + accounts.drop_expired() + uploads.drop_unlinked())


@shared_task
def retain() -> int:
    """The sweep: archives and removes what the settings do not keep. Returns how much."""
    return _with_database(lambda: sweeping.sweep(shutdown.is_asked, RETENTION_SECONDS).total())


def _bulk(idle_for: float = 0) -> int:
    if idle_for:
        running.clear_drafts()
    if running.run(BULK_SECONDS, shutdown.is_asked, idle_for):
        wakeup.wake_bulk()
    return 0


def _with_database(work: Callable[[], int], role: str = "") -> int:
    """Runs `work`. Returns 0 if the database is unavailable or in conflict: the next sweep does the work.

    `role`: what a sweep that got here shows to be at work.
    """
    try:
        if role:
            signs.leave(role)
        return work()
    except Error as error:
        count_error(error)
        if not is_unavailable(error):
            raise
        logger.warning("The database is unavailable or busy; the next sweep tries again: %s", error)
        return 0
