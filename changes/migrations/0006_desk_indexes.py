"""The desk reads what a group holds in a phase from this index, in its order, and only what it shows."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0005_list_indexes")]

    operations = [
        AddIndexOnline(
            model_name="change",
            index=models.Index(
                models.F("owning_group"),
                models.F("phase"),
                models.Case(
                    models.When(priority="Critical", then=models.Value(0)),
                    models.When(priority="High", then=models.Value(1)),
                    models.When(priority="Medium", then=models.Value(2)),
                    default=models.Value(3),
                    output_field=models.IntegerField(),
                ),
                models.F("id"),
                condition=models.Q(("phase__in", ["Close", "Abandon"]), _negated=True),
                name="change_desk",
            ),
        ),
    ]
