from django.db import migrations, models


def without_limit(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # A million changes take longer than a statement may take otherwise.
        schema_editor.execute("SET LOCAL statement_timeout = 0")


class Migration(migrations.Migration):
    dependencies = [("changes", "0022_fill_last_activity")]

    operations = [
        migrations.RunPython(without_limit, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="change", index=models.Index(fields=["last_activity_at", "id"], name="change_activity")
        ),
    ]
