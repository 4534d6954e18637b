"""Queues each message on stdin after a pause, and prints the times: `python -m bench.baseline.celery_post.one_by_one`.

Reads a JSON object of `messages`, a list of pairs of address and body, and `pauses` in seconds. Prints the moments of
time.monotonic() just before each `delay()`, as a JSON list.
"""

import json
import sys
import time

from .tasks import post

wanted = json.load(sys.stdin)
moments = []
for (url, body), pause in zip(wanted["messages"], wanted["pauses"], strict=True):
    time.sleep(pause)
    moments.append(time.monotonic())
    post.delay(url, body)
json.dump(moments, sys.stdout)
