import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0026_request_id_of_bulk_jobs'),
    ]

    operations = [
        migrations.CreateModel(
            name='RestoredCopy',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('taken_at', models.DateTimeField(null=True)),
                ('restored_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'default_permissions': (),
            },
        ),
    ]
