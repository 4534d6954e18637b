"""The text is made from the status."""

from django.db import migrations

from changes.setup.online_migrations import RemoveFieldLater


class Migration(migrations.Migration):
    dependencies = [("integrations", "0009_fill_failure_kinds")]

    operations = [RemoveFieldLater(model_name="externalsystem", name="pause_reason")]
