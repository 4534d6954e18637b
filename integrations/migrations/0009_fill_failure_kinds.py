"""What still waits gets the kind of its latest failure, a paused system its status, and each system its first delivery.

Attempts of operations that are settled keep their text alone: nothing reads their kind.
"""

from typing import Any

from django.db import migrations

SETTLED = ("Delivered", "Skipped")
# What the error of a try without an answer held, in the order in which it is looked for.
KINDS = (
    ("timeout", ("no complete answer within",)),
    ("address_not_allowed", ("outgoing_allowed_networks",)),
    ("tls", ("certificate", "ssl")),
    ("name_resolution", ("name or service", "name resolution", "no address", "nodename")),
    ("connection_refused", ("refused", "connect call failed")),
    ("endpoint_url", ("the endpoint url cannot be used",)),
    ("signing_secret", ("cannot be decrypted",)),
    ("internal", ("internal error",)),
)


def kind_of(http_status: int | None, error: str) -> str:
    if http_status is not None:
        return "status"
    said = error.lower()
    found = (kind for kind, parts in KINDS if any(part in said for part in parts))
    return next(found, "connection_broken" if said else "")


def fill(apps: Any, schema_editor: Any) -> None:
    system, control, operation, attempt = (
        apps.get_model("integrations", name).objects
        for name in ("ExternalSystem", "DeliveryControl", "OutgoingOperation", "DeliveryAttempt")
    )
    for status in (401, 403, 410):
        system.filter(paused_at__isnull=False, pause_reason__contains=f"({status})").update(pause_status=status)
    for pk in system.values_list("pk", flat=True):
        first = operation.filter(system=pk, status="Delivered").order_by("settled_at").values_list("settled_at")[:1]
        control.filter(pk=pk).update(first_delivered_at=first.first()[0] if first else None)
    for row in operation.exclude(status__in=SETTLED).exclude(last_error="").only("pk").iterator():
        tries = attempt.filter(operation=row.pk)
        for one in tries.exclude(error="", http_status=None).exclude(http_status__range=(200, 299)):
            attempt.filter(pk=one.pk).update(failure=kind_of(one.http_status, one.error))
        latest = tries.order_by("started_at", "id").last()
        if latest is not None:
            kind = kind_of(latest.http_status, latest.error)
            operation.filter(pk=row.pk).update(last_failure=kind, last_http_status=latest.http_status)


class Migration(migrations.Migration):
    dependencies = [("integrations", "0008_failure_kinds")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
