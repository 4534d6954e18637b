"""What the web servers and workers of the first release do to the database while an upgrade goes on.

`python -m tests.former_release install COUNT`: its tables in an empty database, with this many changes.
`python -m tests.former_release STOP`: reads and writes with the models as the first release had them, until the file
STOP is there. Prints how often it went round, and ends with an error as soon as a statement fails or waits too long.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from psycopg.errors import DeadlockDetected

FIRST_RELEASE = [("changes", "0004_bulk_jobs"), ("integrations", "0004_next_operations_and_fewer_indexes")]


def seed(apps: Any, count: int) -> None:
    """A partner, and `count` changes with a comment and a delivered operation each."""
    from django.utils import timezone

    of = {name: _objects(apps, name) for name in NAMES}
    user, _ = of["User"].get_or_create(username="acme-integration")
    group, _ = of["SupportGroup"].get_or_create(name="ACME Networks")
    system, _ = of["ExternalSystem"].get_or_create(system_id="ACME", defaults={"authorized_user": user})
    of["DeliveryControl"].get_or_create(system=system)
    of["ExternalGroup"].get_or_create(group=group, defaults={"system": system})
    now = timezone.now()
    titles = (f"Replace core switch {number}" for number in range(count))
    changes = of["Change"].bulk_create(
        of["Change"].model(number=f"CHG{number:07}", title=title, priority="Low", owning_group=group)
        for number, title in enumerate(titles, 1)
    )
    of["Comment"].bulk_create(of["Comment"].model(change=change, author=user, body="Since ten.") for change in changes)
    exchanges = of["Exchange"].bulk_create(of["Exchange"].model(change=each, system=system) for each in changes)
    of["OutgoingOperation"].bulk_create(
        of["OutgoingOperation"].model(**_operation(exchange, 1), status="Delivered", created_at=now, settled_at=now)
        for exchange in exchanges
    )


NAMES = {
    "User": "auth",
    "SupportGroup": "changes",
    "Change": "changes",
    "Comment": "changes",
    "ExternalSystem": "integrations",
    "ExternalGroup": "integrations",
    "DeliveryControl": "integrations",
    "Exchange": "integrations",
    "OutgoingOperation": "integrations",
    "DeliveryAttempt": "integrations",
    "IncomingOperation": "integrations",
    "ExternalReference": "integrations",
}


def go_round(apps: Any, number: int) -> None:
    """One handover with its delivery, and one incoming operation, each in a transaction as it was."""
    from django.db import transaction
    from django.utils import timezone

    of, now = {name: _objects(apps, name) for name in NAMES}, timezone.now()
    with transaction.atomic():
        system = of["ExternalSystem"].select_related("authorized_user").get(system_id="ACME")
        group = of["SupportGroup"].get(name="ACME Networks")
        change = of["Change"].create(number=f"OLD{number:07}", title="While it goes on", priority="High")
        change.owning_group = group
        change.save()
        of["Comment"].create(change=change, author=system.authorized_user, body="Meanwhile")
        exchange = of["Exchange"].create(change=change, system=system)
        operation = of["OutgoingOperation"].create(**_operation(exchange, 1), created_at=now, is_next=True)
    with transaction.atomic():
        of["DeliveryControl"].select_for_update().get(system=system)
        of["OutgoingOperation"].filter(pk=operation.pk).update(
            status="Sending", claimed_until=now + timedelta(minutes=1)
        )
    with transaction.atomic():
        of["DeliveryAttempt"].create(operation=operation, claim=1, started_at=now, duration=0.2, http_status=200)
        of["OutgoingOperation"].filter(pk=operation.pk).update(status="Delivered", settled_at=now, is_next=False)
        of["ExternalReference"].create(change=change, system=system, external_id=f"C-{number}")
    repeated(lambda: _take(of, system, number))


def repeated(work: Callable[[], None]) -> None:
    """A request that the database ends because of a deadlock is repeated, as that release's web server did."""
    from django.db import OperationalError

    try:
        work()
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected):
            raise
        work()


def _take(of: dict[str, Any], system: Any, number: int) -> None:
    from django.db import transaction

    with transaction.atomic():
        old = of["Change"].select_for_update().get(number=f"CHG{1 + number % 100:07}")
        old.title = f"Edited {number}"
        old.save()
        of["IncomingOperation"].create(
            system=system,
            change=old,
            user=system.authorized_user,
            operation="Update",
            status="Applied",
            body_sha256="0" * 64,
            payload={},
            http_status=200,
        )
        of["ExternalSystem"].filter(pk=system.pk).update(description=f"As of {number}")


def _operation(exchange: Any, sequence: int) -> dict[str, Any]:
    from django.utils import timezone

    return {
        "exchange": exchange,
        "change": exchange.change,
        "system": exchange.system,
        "sequence": sequence,
        "operation": "Assign",
        "payload": {"operation": "Assign"},
        "next_try_at": timezone.now(),
    }


def _objects(apps: Any, name: str) -> Any:
    return apps.get_model(NAMES[name], name)._base_manager


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    apps = executor.loader.project_state(FIRST_RELEASE).apps
    if sys.argv[1] == "install":
        executor.migrate(FIRST_RELEASE)
        seed(apps, int(sys.argv[2]))
        return
    connection.ensure_connection()
    stop, rounds, longest = Path(sys.argv[1]), 0, 0.0
    print("ready", flush=True)
    while not stop.exists():
        began = time.monotonic()
        rounds += 1
        go_round(apps, rounds)
        longest = max(longest, time.monotonic() - began)
    print(f"rounds={rounds} longest={longest:.2f}", flush=True)


if __name__ == "__main__":
    main()
