from django.db import migrations, models

import changes.validators


class Migration(migrations.Migration):
    dependencies = [("integrations", "0011_external_ids_in_nfc")]

    operations = [
        migrations.AlterField(
            model_name="externalreference",
            name="external_url",
            field=models.CharField(
                blank=True, max_length=1000, validators=[changes.validators.validate_web_address], verbose_name="external url"
            ),
        ),
    ]
