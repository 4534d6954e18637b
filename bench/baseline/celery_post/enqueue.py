"""Queues a task for each of the messages on stdin, a JSON list of pairs of address and body."""

import json
import sys

from .tasks import post

for url, body in json.load(sys.stdin):
    post.delay(url, body)
