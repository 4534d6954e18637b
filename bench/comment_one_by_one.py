"""Adds public comments to the changes in turn, with pauses: `python -m bench.comment_one_by_one`.

Runs with the environment of casexchange; partners must hold the changes. Reads a JSON list of pauses in seconds from
stdin. Prints for each comment its key and the time.monotonic() of its commit.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial

import django
from django.db import transaction

from .content import COMMENT


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from django.contrib.auth import get_user_model

    from changes.actor import acting
    from changes.models import Change, Comment

    alice = get_user_model().objects.get(username="alice")
    changes = list(Change.objects.order_by("pk"))
    keys: list[int] = []
    moments: list[float] = []
    with acting(alice):
        for number, pause in enumerate(json.load(sys.stdin)):
            time.sleep(pause)
            comment = Comment(change=changes[number % len(changes)], author=alice, body=COMMENT)
            with transaction.atomic():
                # Registered before the hook that publishes the wake-up: publishing is part of the measured time.
                transaction.on_commit(partial(_note, moments))
                comment.save()
            keys.append(comment.pk)
    json.dump([*zip(keys, moments, strict=True)], sys.stdout)


def _note(moments: list[float]) -> None:
    moments.append(time.monotonic())


if __name__ == "__main__":
    main()
