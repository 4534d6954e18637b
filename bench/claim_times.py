"""Times one claim of a worker, again and again: `python -m bench.claim_times NUMBER`, as casexchange is configured.

Each is rolled back, so every one finds the same. Prints the seconds of each as a JSON list.
"""

from __future__ import annotations

import json
import os
import sys
import time

import django
from django.db import transaction

# As many as a drain with nothing in flight asks for.
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
