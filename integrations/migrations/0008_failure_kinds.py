"""Why tries failed is stored as a kind; a pause as the status that the partner answered."""

from django.db import migrations, models

from changes.setup.online_migrations import AddFieldOnline


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0007_verbose_names'),
    ]

    operations = [
        AddFieldOnline(
            model_name='deliveryattempt',
            name='failure',
            field=models.CharField(blank=True, choices=[('timeout', 'No answer in time'), ('connection_refused', 'Connection refused'), ('connection_broken', 'Connection broken'), ('tls', 'No secure connection'), ('name_resolution', 'Unknown host name'), ('address_not_allowed', 'Address not allowed'), ('endpoint_url', 'Unusable endpoint URL'), ('status', 'HTTP status'), ('unusable_answer', 'Unusable answer'), ('signing_secret', 'Unreadable signing secret'), ('internal', 'Internal error')], max_length=20, verbose_name='failure'),
        ),
        migrations.AddField(
            model_name='deliverycontrol',
            name='first_delivered_at',
            field=models.DateTimeField(help_text='Empty until the partner has taken an operation.', null=True),
        ),
        migrations.AddField(
            model_name='externalsystem',
            name='pause_status',
            field=models.PositiveSmallIntegerField(blank=True, editable=False, null=True, verbose_name='pausing HTTP status'),
        ),
        AddFieldOnline(
            model_name='outgoingoperation',
            name='last_failure',
            field=models.CharField(blank=True, choices=[('timeout', 'No answer in time'), ('connection_refused', 'Connection refused'), ('connection_broken', 'Connection broken'), ('tls', 'No secure connection'), ('name_resolution', 'Unknown host name'), ('address_not_allowed', 'Address not allowed'), ('endpoint_url', 'Unusable endpoint URL'), ('status', 'HTTP status'), ('unusable_answer', 'Unusable answer'), ('signing_secret', 'Unreadable signing secret'), ('internal', 'Internal error')], max_length=20, verbose_name='last failure'),
        ),
        migrations.AddField(
            model_name='outgoingoperation',
            name='last_http_status',
            field=models.PositiveSmallIntegerField(null=True, verbose_name='last HTTP status'),
        ),
    ]
