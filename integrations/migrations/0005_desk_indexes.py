"""What needs a person on the desk: failed incoming operations, rejected changes. Both hold few rows."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("integrations", "0004_next_operations_and_fewer_indexes")]

    operations = [
        AddIndexOnline(
            model_name="exchange",
            index=models.Index(
                fields=["id"],
                condition=models.Q(("rejected_at_sequence__isnull", False)),
                name="exchange_rejected",
            ),
        ),
        AddIndexOnline(
            model_name="incomingoperation",
            index=models.Index(
                fields=["received_at"],
                condition=models.Q(("status", "Failed")),
                name="incoming_failed",
            ),
        ),
    ]
