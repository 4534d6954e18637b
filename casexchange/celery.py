"""The Celery app: `celery -A casexchange worker`, `celery -A casexchange beat`."""

import os
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning
from kombu.transport import TRANSPORT_ALIASES

TRANSPORT_ALIASES["filesystem"] = "casexchange.broker.filesystem_broker:Transport"
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "casexchange.broker.redis_broker:Transport"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")

app = Celery("casexchange")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.task_prerun.connect(dispatch_uid="casexchange.close_old_connections")
@signals.task_postrun.connect(dispatch_uid="casexchange.close_old_connections")
def close_old_connections(task: Any = None, **kwargs: object) -> None:
    """Keeps the database connection open from task to task, as Django does from request to request.

    Celery would open a new connection for each task. A connection that is broken or too old is closed here too.
    """
    from django.db import close_old_connections

    if task is None or not task.request.is_eager:
        close_old_connections()


@signals.worker_init.connect(dispatch_uid="casexchange.trace")
def trace(**kwargs: object) -> None:
    from casexchange import tracing

    tracing.set_up("casexchange-worker")


@signals.task_prerun.connect(dispatch_uid="casexchange.name_work")
def name_work(task: Any, **kwargs: object) -> None:
    """Lets the log lines of a task name it."""
    from changes import work

    if not task.request.is_eager:
        work.begin(work.TaskWork(task.name.rpartition(".")[2]))


@signals.task_postrun.connect(dispatch_uid="casexchange.name_work")
def end_work(task: Any, **kwargs: object) -> None:
    from changes import work

    if not task.request.is_eager:
        work.begin(None)


@signals.worker_ready.connect(dispatch_uid="casexchange.keep_quiet")
def keep_quiet(**kwargs: object) -> None:
    """Silences a warning: at each loss of the broker, Celery advises against a setting that we chose on purpose."""
    warnings.filterwarnings("ignore", r"\s*In Celery 5\.1 we introduced", CPendingDeprecationWarning)
