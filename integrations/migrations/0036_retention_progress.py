from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0035_request_ids'),
    ]

    operations = [
        migrations.CreateModel(
            name='RetentionProgress',
            fields=[
                ('kind', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('place', models.CharField(blank=True, max_length=100)),
            ],
            options={
                'default_permissions': (),
            },
        ),
    ]
