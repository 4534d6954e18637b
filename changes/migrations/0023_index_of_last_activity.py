from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0022_fill_last_activity")]

    operations = [
        AddIndexOnline(
            model_name="change", index=models.Index(fields=["last_activity_at", "id"], name="change_activity")
        ),
    ]
