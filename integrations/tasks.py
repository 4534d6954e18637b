"""Celery tasks. They carry no data: what is due stands in the database."""

import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from . import delivery, outbox

logger = logging.getLogger(__name__)


def wake() -> None:
    """Asks a worker to send what is due. With the broker gone, the sweep finds it instead."""
    try:
        deliver.delay()
    except (OperationalError, OSError) as error:
        logger.warning("No wake-up was sent, the sweep will find what is due: %s", error)


@shared_task
def deliver() -> int:
    """Sends whatever is due."""
    return delivery.drain()


@shared_task
def dispatch_due() -> int:
    """The sweep: sends what a lost wake-up or a pause between tries left due."""
    return delivery.drain()


@shared_task
def release_stale() -> int:
    """Frees what a worker claimed and did not finish."""
    return outbox.release_stale()
