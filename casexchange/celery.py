"""The Celery app: `celery -A casexchange worker`, `celery -A casexchange beat`."""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["filesystem"] = "casexchange.filesystem_broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")

app = Celery("casexchange")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
