import unicodedata

from django.db import migrations, models

import changes.validators


def normalise(apps, schema_editor):
    """Two ids that look the same are the same. One whose other spelling is taken in its system stays as it is."""
    references = apps.get_model("integrations", "ExternalReference").objects.using(schema_editor.connection.alias)
    taken = references.exclude(external_id__regex=r"^[ -~]*$").values_list("pk", "system_id", "external_id")
    for pk, system_id, external_id in taken.iterator():
        normal = unicodedata.normalize("NFC", external_id)
        if normal != external_id and not references.filter(system_id=system_id, external_id=normal).exists():
            references.filter(pk=pk).update(external_id=normal)


class Migration(migrations.Migration):
    dependencies = [("integrations", "0010_pause_reason_goes")]

    operations = [
        migrations.AlterField(
            model_name="externalreference",
            name="external_id",
            field=models.CharField(
                max_length=255, validators=[changes.validators.validate_identifier], verbose_name="external id"
            ),
        ),
        migrations.RunPython(normalise, migrations.RunPython.noop, elidable=True),
    ]
