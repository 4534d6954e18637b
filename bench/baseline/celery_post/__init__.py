"""A minimal Celery + Redis task, one HTTP POST with a kept-alive client: `celery -A bench.baseline.celery_post`."""

from .tasks import app

__all__ = ["app"]
