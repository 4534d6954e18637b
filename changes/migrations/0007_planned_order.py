"""The order of plans in the list of changes."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0006_desk_indexes")]

    operations = [
        AddIndexOnline(
            model_name="change",
            index=models.Index(
                condition=models.Q(("planned_start__isnull", False)),
                fields=["planned_start", "id"],
                name="change_planned_start",
            ),
        ),
    ]
