"""The log of incoming operations is read by the time when they came."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("integrations", "0005_desk_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="incomingoperation",
            index=models.Index(fields=["received_at", "id"], name="incoming_by_time"),
        ),
    ]
