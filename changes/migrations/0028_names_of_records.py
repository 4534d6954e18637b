"""What records are called. No database knows of it."""

from django.db import migrations

from changes.migrations._labels import LabelsOnly


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0027_restored_copy'),
    ]

    operations = [
        LabelsOnly(
            [
                migrations.AlterModelOptions(
                    name='bulkjob',
                    options={'ordering': ['-id'], 'verbose_name': 'bulk job', 'verbose_name_plural': 'bulk jobs'},
                ),
                migrations.AlterModelOptions(
                    name='bulkitem',
                    options={'ordering': ['job', 'position'], 'verbose_name': 'record of a bulk job', 'verbose_name_plural': 'records of bulk jobs'},
                ),
                migrations.AlterModelOptions(
                    name='historicalchange',
                    options={'get_latest_by': ('history_date', 'history_id'), 'ordering': ('-history_date', '-history_id'), 'verbose_name': 'save of a change', 'verbose_name_plural': 'saves of changes'},
                ),
                migrations.AlterModelOptions(
                    name='ratecounter',
                    options={'verbose_name': 'counter of a rate limit', 'verbose_name_plural': 'counters of rate limits'},
                ),
                migrations.AlterModelOptions(
                    name='savedfilter',
                    options={'ordering': ['name'], 'verbose_name': 'saved filter', 'verbose_name_plural': 'saved filters'},
                ),
            ]
        ),
    ]
