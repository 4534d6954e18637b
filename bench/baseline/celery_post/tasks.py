"""Celery's own defaults (early acknowledgement, four messages prefetched for each process) and no kept results."""

import os

import requests
from celery import Celery

app = Celery("celery_post", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)

# One for each worker process, opened with its first task: the connections are kept alive.
_session = requests.Session()
_session.trust_env = False  # quicker: no look for proxies and .netrc with each call
_HEADERS = {"Content-Type": "application/json"}


@app.task(autoretry_for=(requests.RequestException,), retry_backoff=True, max_retries=9)
def post(url: str, body: str) -> None:
    _session.post(url, data=body.encode(), headers=_HEADERS, timeout=15).raise_for_status()
