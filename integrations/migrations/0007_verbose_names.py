"""What records and fields are called. No database knows of it."""

import changes.validators
import django.core.validators
import django.db.models.deletion
import integrations.fields
import integrations.validators
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

from changes.migrations._labels import LabelsOnly


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0009_verbose_names'),
        ('integrations', '0006_incoming_by_time'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        LabelsOnly(
            [
                migrations.AlterModelOptions(
                    name='deliveryattempt',
                    options={'ordering': ['started_at', 'id'], 'verbose_name': 'delivery attempt', 'verbose_name_plural': 'delivery attempts'},
                ),
                migrations.AlterModelOptions(
                    name='deliverycontrol',
                    options={'verbose_name': 'delivery control', 'verbose_name_plural': 'delivery controls'},
                ),
                migrations.AlterModelOptions(
                    name='exchange',
                    options={'verbose_name': 'exchange', 'verbose_name_plural': 'exchanges'},
                ),
                migrations.AlterModelOptions(
                    name='externalgroup',
                    options={'ordering': ['group__name'], 'verbose_name': 'external group', 'verbose_name_plural': 'external groups'},
                ),
                migrations.AlterModelOptions(
                    name='externalreference',
                    options={'ordering': ['system__system_id'], 'verbose_name': 'external reference', 'verbose_name_plural': 'external references'},
                ),
                migrations.AlterModelOptions(
                    name='externalsystem',
                    options={'ordering': ['system_id'], 'verbose_name': 'external system', 'verbose_name_plural': 'external systems'},
                ),
                migrations.AlterModelOptions(
                    name='incomingoperation',
                    options={'ordering': ['-received_at', '-id'], 'verbose_name': 'incoming operation', 'verbose_name_plural': 'incoming operations'},
                ),
                migrations.AlterModelOptions(
                    name='outgoingoperation',
                    options={'ordering': ['change_id', 'system_id', 'sequence'], 'permissions': [('retry_outgoingoperation', 'Can retry an operation now'), ('skip_outgoingoperation', 'Can skip an operation with a reason')], 'verbose_name': 'outgoing operation', 'verbose_name_plural': 'outgoing operations'},
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='answer',
                    field=models.TextField(blank=True, help_text='The start of what the partner answered.', verbose_name='answer'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='duration',
                    field=models.FloatField(help_text='Seconds.', verbose_name='duration'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='error',
                    field=models.CharField(blank=True, max_length=500, verbose_name='error'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='http_status',
                    field=models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='note',
                    field=models.CharField(blank=True, help_text='Why an answer could not be used.', max_length=500, verbose_name='note'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='operation',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='integrations.outgoingoperation', verbose_name='operation'),
                ),
                migrations.AlterField(
                    model_name='deliveryattempt',
                    name='started_at',
                    field=models.DateTimeField(verbose_name='started at'),
                ),
                migrations.AlterField(
                    model_name='deliverycontrol',
                    name='breaker',
                    field=models.CharField(choices=[('Closed', 'Closed'), ('Open', 'Open'), ('HalfOpen', 'Half-open')], default='Closed', max_length=8, verbose_name='circuit breaker'),
                ),
                migrations.AlterField(
                    model_name='deliverycontrol',
                    name='system',
                    field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='control', serialize=False, to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='assigned_sequence',
                    field=models.PositiveIntegerField(null=True, verbose_name='assigned sequence'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='cancelled_sequence',
                    field=models.PositiveIntegerField(null=True, verbose_name='cancelled sequence'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='change',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='exchanges', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='last_sequence',
                    field=models.PositiveIntegerField(default=0, verbose_name='last sequence'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='rejected_at_sequence',
                    field=models.PositiveIntegerField(null=True, verbose_name='rejected at sequence'),
                ),
                migrations.AlterField(
                    model_name='exchange',
                    name='system',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='exchanges', to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='externalgroup',
                    name='group',
                    field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='external_group', to='changes.supportgroup', verbose_name='group'),
                ),
                migrations.AlterField(
                    model_name='externalgroup',
                    name='system',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='external_groups', to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='externalreference',
                    name='change',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='external_references', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='externalreference',
                    name='external_id',
                    field=models.CharField(max_length=255, validators=[changes.validators.validate_text], verbose_name='external id'),
                ),
                migrations.AlterField(
                    model_name='externalreference',
                    name='external_status',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='external status'),
                ),
                migrations.AlterField(
                    model_name='externalreference',
                    name='external_url',
                    field=models.URLField(blank=True, max_length=1000, validators=[django.core.validators.URLValidator(schemes=['http', 'https'])], verbose_name='external url'),
                ),
                migrations.AlterField(
                    model_name='externalreference',
                    name='system',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='external_references', to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='authorized_user',
                    field=models.ForeignKey(help_text="The local user that the partner's requests act as. Not a member of staff.", on_delete=django.db.models.deletion.PROTECT, related_name='authorized_systems', to=settings.AUTH_USER_MODEL, verbose_name='authorized user'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='delivery',
                    field=models.CharField(choices=[('push', 'Push: we call the partner'), ('pull', 'Pull: the partner asks')], default='push', max_length=4, verbose_name='delivery'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='description',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='description'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='enabled',
                    field=models.BooleanField(default=True, verbose_name='enabled'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='pause_reason',
                    field=models.CharField(blank=True, editable=False, max_length=300, verbose_name='pause reason'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='paused_at',
                    field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='paused at'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='previous_signing_secret',
                    field=integrations.fields.EncryptedTextField(blank=True, help_text='During a rotation both secrets sign.', validators=[integrations.validators.validate_secret], verbose_name='previous signing secret'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='rate_limit',
                    field=models.PositiveIntegerField(blank=True, help_text='Operations a minute at most, over all workers. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(1000000)], verbose_name='rate limit'),
                ),
                migrations.AlterField(
                    model_name='externalsystem',
                    name='signing_secret',
                    field=integrations.fields.EncryptedTextField(blank=True, validators=[integrations.validators.validate_secret], verbose_name='signing secret'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='change',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='incoming_operations', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='error',
                    field=models.TextField(blank=True, verbose_name='error'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='http_status',
                    field=models.PositiveSmallIntegerField(verbose_name='HTTP status'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='id',
                    field=models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='id'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='idempotency_key',
                    field=models.CharField(max_length=255, null=True, verbose_name='idempotency key'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='operation',
                    field=models.CharField(blank=True, choices=[('Create', 'Create'), ('Update', 'Update'), ('Assign', 'Assign'), ('Reject', 'Reject'), ('Cancel', 'Cancel')], max_length=6, verbose_name='operation'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='origin_operation_id',
                    field=models.CharField(blank=True, max_length=255, verbose_name='origin operation id'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='origin_system_id',
                    field=models.CharField(blank=True, max_length=255, verbose_name='origin system id'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='payload',
                    field=integrations.fields.JSONTextField(help_text='What came, without the content of attachments.', verbose_name='payload'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='received_at',
                    field=models.DateTimeField(auto_now_add=True, verbose_name='received at'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='result',
                    field=integrations.fields.JSONTextField(null=True, verbose_name='result'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='status',
                    field=models.CharField(choices=[('Applied', 'Applied'), ('Ignored', 'Ignored'), ('Failed', 'Failed')], max_length=7, verbose_name='status'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='system',
                    field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='incoming_operations', to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='incomingoperation',
                    name='user',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='user'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='attachment',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outgoing_operations', to='changes.attachment', verbose_name='attachment'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='cause',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='caused', to='integrations.incomingoperation', verbose_name='cause'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='change',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outgoing_operations', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='comment',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='outgoing_operations', to='changes.comment', verbose_name='comment'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='created_at',
                    field=models.DateTimeField(verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='exchange',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='operations', to='integrations.exchange', verbose_name='exchange'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='id',
                    field=models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='id'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='last_error',
                    field=models.CharField(blank=True, max_length=500, verbose_name='last error'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='next_try_at',
                    field=models.DateTimeField(verbose_name='next try at'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='operation',
                    field=models.CharField(choices=[('Assign', 'Assign'), ('Accept', 'Accept'), ('Cancel', 'Cancel'), ('Update', 'Update')], max_length=6, verbose_name='operation'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='payload',
                    field=integrations.fields.JSONTextField(help_text='As recorded; the external reference is added when it is sent.', verbose_name='payload'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='sequence',
                    field=models.PositiveIntegerField(verbose_name='sequence'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='settled_at',
                    field=models.DateTimeField(help_text='When it was delivered or skipped.', null=True, verbose_name='settled at'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='skip_reason',
                    field=models.CharField(blank=True, max_length=500, verbose_name='skip reason'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='skipped_by',
                    field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='skipped by'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='status',
                    field=models.CharField(choices=[('Waiting', 'Waiting'), ('Sending', 'Sending'), ('Refused', 'Refused'), ('Delivered', 'Delivered'), ('Skipped', 'Skipped')], default='Waiting', max_length=9, verbose_name='status'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='system',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='outgoing_operations', to='integrations.externalsystem', verbose_name='system'),
                ),
                migrations.AlterField(
                    model_name='outgoingoperation',
                    name='tries',
                    field=models.PositiveIntegerField(default=0, verbose_name='tries'),
                ),
            ]
        ),
    ]
