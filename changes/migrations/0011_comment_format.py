
from django.db import migrations, models

from changes.setup.online_migrations import AddFieldOnline


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0010_comment_search'),
    ]

    operations = [
        AddFieldOnline(
            model_name='comment',
            name='format',
            field=models.CharField(blank=True, choices=[('Plain', 'Plain'), ('Markdown', 'Markdown')], editable=False, max_length=8, verbose_name='format'),
        ),
    ]
