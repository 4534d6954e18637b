"""Times NUMBER claims of a worker: `python -m bench.claim_times NUMBER`, with the environment of casexchange.

Each claim is rolled back, so each finds the same operations. Prints the seconds of each claim as a JSON list.
"""

from __future__ import annotations

import json
import os
import sys
import time

import django
from django.db import transaction

# The number for which a drain with nothing in flight asks.
LIMIT = 64


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from integrations.outgoing import outbox

    seconds = []
    for _ in range(int(sys.argv[1])):
        with transaction.atomic():
            begun = time.perf_counter()
            claimed = outbox.claim(LIMIT)
            seconds.append(time.perf_counter() - begun)
            transaction.set_rollback(True)
        if len(claimed) != LIMIT:
            raise RuntimeError(f"{len(claimed)} were claimed, expected {LIMIT}")
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
