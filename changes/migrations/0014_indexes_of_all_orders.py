"""An index for each order of changes that the list and the REST API have: see changes/queries/orders.py."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline, RemoveIndexOnline

import changes.queries.querysets


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0013_labels")]

    operations = [
        RemoveIndexOnline(model_name="change", name="change_planned_start"),
        AddIndexOnline(
            model_name="change",
            index=models.Index(changes.queries.querysets.PlannedStart(), models.F("id"), name="change_planned_start"),
        ),
        AddIndexOnline(
            model_name="change", index=models.Index(fields=["created_at", "id"], name="change_created")
        ),
        AddIndexOnline(model_name="change", index=models.Index(fields=["title", "id"], name="change_title")),
    ]
