"""The log of incoming operations is read by the time when they came."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("integrations", "0005_desk_indexes")]

    operations = [
        AddIndexOnline(
            model_name="incomingoperation",
            index=models.Index(fields=["received_at", "id"], name="incoming_by_time"),
        ),
    ]
