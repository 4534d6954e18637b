"""An index for each order of changes that the list and the REST API have: see changes/queries/orders.py."""

from django.db import migrations, models

import changes.queries.querysets


class Migration(migrations.Migration):
    dependencies = [("changes", "0013_labels")]

    operations = [
        migrations.RemoveIndex(model_name="change", name="change_planned_start"),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(changes.queries.querysets.PlannedStart(), models.F("id"), name="change_planned_start"),
        ),
        migrations.AddIndex(
            model_name="change", index=models.Index(fields=["created_at", "id"], name="change_created")
        ),
        migrations.AddIndex(model_name="change", index=models.Index(fields=["title", "id"], name="change_title")),
    ]
