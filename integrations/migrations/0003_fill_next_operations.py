"""Each operation gets its exchange, the first unsettled one of each exchange its mark, and each system its control."""

from typing import Any

from django.db import migrations
from django.db.models import Min, OuterRef, Q, Subquery

SETTLED = ("Delivered", "Skipped")


def fill(apps: Any, schema_editor: Any) -> None:
    system = apps.get_model("integrations", "ExternalSystem")
    control = apps.get_model("integrations", "DeliveryControl")
    exchange = apps.get_model("integrations", "Exchange")
    operation = apps.get_model("integrations", "OutgoingOperation")
    control.objects.bulk_create([control(system_id=pk) for pk in system.objects.values_list("pk", flat=True)])
    own = exchange.objects.filter(change=OuterRef("change"), system=OuterRef("system"))
    operation.objects.update(exchange=Subquery(own.values("pk")[:1]))
    first = (
        operation.objects.filter(exchange=OuterRef("exchange"))
        .exclude(status__in=SETTLED)
        .order_by()
        .values("exchange")
        .annotate(first=Min("sequence"))
        .values("first")
    )
    operation.objects.filter(~Q(status__in=SETTLED), sequence=Subquery(first)).update(is_next=True)


class Migration(migrations.Migration):
    dependencies = [("integrations", "0002_delivery_control")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
