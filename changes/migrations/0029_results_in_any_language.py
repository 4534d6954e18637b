"""Results of bulk jobs are kept so that pages tell them in the language of their reader."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0028_names_of_records'),
    ]

    operations = [
        migrations.AddField(
            model_name='bulkitem',
            name='kept',
            field=models.JSONField(null=True),
        ),
    ]
