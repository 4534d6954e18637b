"""A minimal Celery app on Redis, whose task sends one HTTP POST: `celery -A bench.baseline.celery_post`."""

from .tasks import app

__all__ = ["app"]
