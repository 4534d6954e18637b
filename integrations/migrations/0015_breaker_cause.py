"""Stores the cause of a circuit breaker that is not closed as a kind, instead of a text.

The former texts repeated counts; the columns of these counts are filled from the texts.
"""

import re
from typing import Any

from django.db import migrations, models

from changes.setup.online_migrations import AddFieldOnline

IN_A_ROW = re.compile(r"(\d+) tries in a row failed")
SHARE = re.compile(r"(\d+) of (\d+) tries failed within ")


def fill(apps: Any, schema_editor: Any) -> None:
    controls = apps.get_model("integrations", "DeliveryControl").objects
    for control in controls.exclude(breaker="Closed"):
        if control.breaker == "Open" and control.breaker_until is None:
            control.breaker_cause = "by_hand"
        elif share := SHARE.match(control.breaker_reason):
            control.breaker_cause, control.breaker_reason = "share", ""
            control.window_failures, control.window_tries = map(int, share.groups())
        else:
            in_a_row = IN_A_ROW.match(control.breaker_reason)
            control.breaker_cause, control.breaker_reason = "in_a_row", ""
            control.consecutive_failures = int(in_a_row[1]) if in_a_row else control.consecutive_failures
        control.save()
    controls.filter(breaker="Closed").exclude(breaker_reason="").update(breaker_reason="")


def back(apps: Any, schema_editor: Any) -> None:
    controls = apps.get_model("integrations", "DeliveryControl").objects
    for control in controls.exclude(breaker_cause__in=("", "by_hand")):
        failed = f"{control.window_failures} of {control.window_tries} tries failed within 60 s"
        in_a_row = f"{control.consecutive_failures} tries in a row failed"
        control.breaker_reason = failed if control.breaker_cause == "share" else in_a_row
        control.save()


class Migration(migrations.Migration):
    dependencies = [("integrations", "0014_sends_markdown")]

    operations = [
        AddFieldOnline(
            model_name="deliverycontrol",
            name="breaker_cause",
            field=models.CharField(
                blank=True,
                choices=[
                    ("in_a_row", "Tries in a row failed"),
                    ("share", "Half of the tries failed"),
                    ("by_hand", "Opened by hand"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="deliverycontrol",
            name="breaker_reason",
            field=models.CharField(
                blank=True, help_text="The reason that a person gave for opening it, and who that was.", max_length=300
            ),
        ),
        migrations.RunPython(fill, back, elidable=True),
    ]
