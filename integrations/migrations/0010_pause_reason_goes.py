"""The text is made from the status."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("integrations", "0009_fill_failure_kinds")]

    operations = [migrations.RemoveField(model_name="externalsystem", name="pause_reason")]
