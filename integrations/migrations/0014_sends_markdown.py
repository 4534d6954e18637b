
from django.db import migrations, models

from changes.setup.online_migrations import AddFieldOnline


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0013_reference_search'),
    ]

    operations = [
        AddFieldOnline(
            model_name='externalsystem',
            name='sends_markdown',
            field=models.BooleanField(default=False, help_text='Its comments are formatted as Markdown. Otherwise they are shown as they were typed.', verbose_name='sends Markdown'),
        ),
    ]
