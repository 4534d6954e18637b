"""What records and fields are called. No database knows of it, so nothing is asked of one: `number`, which is generated, would
make SQLite copy the table."""

import changes.models.additions
import changes.models.number
import changes.validators
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from changes.migrations._labels import LabelsOnly


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0008_bulk_recipients'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        LabelsOnly(
            [
                migrations.AlterModelOptions(
                    name='approval',
                    options={'ordering': ['id'], 'verbose_name': 'approval', 'verbose_name_plural': 'approvals'},
                ),
                migrations.AlterModelOptions(
                    name='attachment',
                    options={'ordering': ['id'], 'verbose_name': 'attachment', 'verbose_name_plural': 'attachments'},
                ),
                migrations.AlterModelOptions(
                    name='change',
                    options={'base_manager_name': 'objects', 'ordering': ['-id'], 'permissions': [('approve_change', "Can approve or deny a change's plan"), ('abandon_change', 'Can abandon a change')], 'verbose_name': 'change', 'verbose_name_plural': 'changes'},
                ),
                migrations.AlterModelOptions(
                    name='comment',
                    options={'ordering': ['id'], 'verbose_name': 'comment', 'verbose_name_plural': 'comments'},
                ),
                migrations.AlterModelOptions(
                    name='supportgroup',
                    options={'ordering': ['name'], 'verbose_name': 'support group', 'verbose_name_plural': 'support groups'},
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='author',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='author'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='author_name',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name="author's name"),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='change',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='approvals', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='comment',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='comment'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='created_at',
                    field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='decision',
                    field=models.CharField(choices=[('Approved', 'Approved'), ('Denied', 'Denied')], max_length=8, verbose_name='decision'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='round',
                    field=models.PositiveIntegerField(editable=False, verbose_name='round'),
                ),
                migrations.AlterField(
                    model_name='approval',
                    name='source_system',
                    field=models.CharField(editable=False, max_length=100, null=True, verbose_name='external system'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='author',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='author'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='author_name',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name="author's name"),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='change',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attachments', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='content_type',
                    field=models.CharField(default='application/octet-stream', max_length=100, verbose_name='content type'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='created_at',
                    field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='file',
                    field=models.FileField(max_length=200, upload_to=changes.models.additions.storage_name, validators=[changes.validators.validate_attachment], verbose_name='file'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='file_name',
                    field=models.CharField(max_length=255, validators=[changes.validators.validate_file_name], verbose_name='file name'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='sha256',
                    field=models.CharField(editable=False, max_length=64, verbose_name='SHA-256'),
                ),
                migrations.AlterField(
                    model_name='attachment',
                    name='source_system',
                    field=models.CharField(editable=False, max_length=100, null=True, verbose_name='external system'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='actual_end',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='actual end'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='actual_start',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='actual start'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='approval_round',
                    field=models.PositiveIntegerField(default=0, editable=False, verbose_name='approval round'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='backout_plan',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='backout plan'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='business_impact',
                    field=models.CharField(choices=[('Enterprise', 'Enterprise'), ('SiteOrDepartment', 'SiteOrDepartment'), ('MultipleUsers', 'MultipleUsers'), ('SingleUser', 'SingleUser')], default='SingleUser', max_length=16, verbose_name='business impact'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='category',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='category'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='completion_code',
                    field=models.CharField(blank=True, choices=[('Successful', 'Successful'), ('SuccessfulWithProblems', 'SuccessfulWithProblems'), ('Failed', 'Failed'), ('BackedOut', 'BackedOut'), ('Rejected', 'Rejected'), ('Withdrawn', 'Withdrawn')], max_length=22, null=True, verbose_name='completion code'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='created_at',
                    field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='description',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='description'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='implementation_plan',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='implementation plan'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='justification',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='justification'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='number',
                    field=models.GeneratedField(db_persist=True, expression=changes.models.number.ChangeNumber('id'), output_field=models.CharField(max_length=22), verbose_name='number'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='owning_group',
                    field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='changes.supportgroup', verbose_name='owning group'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='phase',
                    field=models.CharField(choices=[('Log', 'Log'), ('Evaluate', 'Evaluate'), ('Plan', 'Plan'), ('ApprovePlan', 'ApprovePlan'), ('Deploy', 'Deploy'), ('Backout', 'Backout'), ('Validate', 'Validate'), ('Review', 'Review'), ('Close', 'Close'), ('Abandon', 'Abandon')], default='Log', editable=False, max_length=11, verbose_name='phase'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='planned_end',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='planned end'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='planned_start',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='planned start'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='priority',
                    field=models.CharField(choices=[('Critical', 'Critical'), ('High', 'High'), ('Medium', 'Medium'), ('Low', 'Low')], editable=False, max_length=8, verbose_name='priority'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='requested_by',
                    field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='requested_changes', to=settings.AUTH_USER_MODEL, verbose_name='requested by'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='risk',
                    field=models.CharField(blank=True, choices=[('Low', 'Low'), ('Medium', 'Medium'), ('High', 'High')], max_length=6, null=True, verbose_name='risk'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='service',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='service'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='title',
                    field=models.CharField(max_length=200, validators=[changes.validators.validate_text], verbose_name='title'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='updated_at',
                    field=models.DateTimeField(auto_now=True, verbose_name='updated at'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='urgency',
                    field=models.CharField(choices=[('TotalLossOfService', 'TotalLossOfService'), ('SevereDisruption', 'SevereDisruption'), ('SlightDisruption', 'SlightDisruption'), ('NoDisruption', 'NoDisruption')], default='SlightDisruption', max_length=18, verbose_name='urgency'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='version',
                    field=models.PositiveIntegerField(default=1, editable=False, verbose_name='version'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='author',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='author'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='author_name',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name="author's name"),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='body',
                    field=models.TextField(validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='body'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='change',
                    field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='changes.change', verbose_name='change'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='created_at',
                    field=models.DateTimeField(auto_now_add=True, verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='source_system',
                    field=models.CharField(editable=False, max_length=100, null=True, verbose_name='external system'),
                ),
                migrations.AlterField(
                    model_name='comment',
                    name='visibility',
                    field=models.CharField(choices=[('public', 'Public'), ('private', 'Private')], default='public', max_length=7, verbose_name='visibility'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='actual_end',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='actual end'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='actual_start',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='actual start'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='approval_round',
                    field=models.PositiveIntegerField(default=0, editable=False, verbose_name='approval round'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='backout_plan',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='backout plan'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='business_impact',
                    field=models.CharField(choices=[('Enterprise', 'Enterprise'), ('SiteOrDepartment', 'SiteOrDepartment'), ('MultipleUsers', 'MultipleUsers'), ('SingleUser', 'SingleUser')], default='SingleUser', max_length=16, verbose_name='business impact'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='category',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='category'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='completion_code',
                    field=models.CharField(blank=True, choices=[('Successful', 'Successful'), ('SuccessfulWithProblems', 'SuccessfulWithProblems'), ('Failed', 'Failed'), ('BackedOut', 'BackedOut'), ('Rejected', 'Rejected'), ('Withdrawn', 'Withdrawn')], max_length=22, null=True, verbose_name='completion code'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='created_at',
                    field=models.DateTimeField(blank=True, editable=False, verbose_name='created at'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='description',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='description'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='implementation_plan',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='implementation plan'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='justification',
                    field=models.TextField(blank=True, validators=[changes.validators.validate_text, django.core.validators.MaxLengthValidator(100000)], verbose_name='justification'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='owning_group',
                    field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='changes.supportgroup', verbose_name='owning group'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='phase',
                    field=models.CharField(choices=[('Log', 'Log'), ('Evaluate', 'Evaluate'), ('Plan', 'Plan'), ('ApprovePlan', 'ApprovePlan'), ('Deploy', 'Deploy'), ('Backout', 'Backout'), ('Validate', 'Validate'), ('Review', 'Review'), ('Close', 'Close'), ('Abandon', 'Abandon')], default='Log', editable=False, max_length=11, verbose_name='phase'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='planned_end',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='planned end'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='planned_start',
                    field=models.DateTimeField(blank=True, null=True, validators=[changes.validators.validate_moment], verbose_name='planned start'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='priority',
                    field=models.CharField(choices=[('Critical', 'Critical'), ('High', 'High'), ('Medium', 'Medium'), ('Low', 'Low')], editable=False, max_length=8, verbose_name='priority'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='requested_by',
                    field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='requested by'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='risk',
                    field=models.CharField(blank=True, choices=[('Low', 'Low'), ('Medium', 'Medium'), ('High', 'High')], max_length=6, null=True, verbose_name='risk'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='service',
                    field=models.CharField(blank=True, max_length=200, validators=[changes.validators.validate_text], verbose_name='service'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='title',
                    field=models.CharField(max_length=200, validators=[changes.validators.validate_text], verbose_name='title'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='updated_at',
                    field=models.DateTimeField(blank=True, editable=False, verbose_name='updated at'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='urgency',
                    field=models.CharField(choices=[('TotalLossOfService', 'TotalLossOfService'), ('SevereDisruption', 'SevereDisruption'), ('SlightDisruption', 'SlightDisruption'), ('NoDisruption', 'NoDisruption')], default='SlightDisruption', max_length=18, verbose_name='urgency'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='version',
                    field=models.PositiveIntegerField(default=1, editable=False, verbose_name='version'),
                ),
                migrations.AlterField(
                    model_name='supportgroup',
                    name='members',
                    field=models.ManyToManyField(blank=True, related_name='support_groups', to=settings.AUTH_USER_MODEL, verbose_name='members'),
                ),
                migrations.AlterField(
                    model_name='supportgroup',
                    name='name',
                    field=models.CharField(max_length=200, unique=True, validators=[changes.validators.validate_text], verbose_name='name'),
                ),
            ]
        ),
    ]
