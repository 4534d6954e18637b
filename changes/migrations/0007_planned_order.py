"""The order of plans in the list of changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("changes", "0006_desk_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("planned_start__isnull", False)),
                fields=["planned_start", "id"],
                name="change_planned_start",
            ),
        ),
    ]
