"""The labels that people read for values. No database knows of them, so nothing is asked of one."""

from django.db import migrations, models

from changes.migrations._labels import LabelsOnly


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0012_group_names_in_a_line'),
    ]

    operations = [
        LabelsOnly(
            [
                migrations.AlterField(
                    model_name='change',
                    name='business_impact',
                    field=models.CharField(choices=[('Enterprise', 'Enterprise'), ('SiteOrDepartment', 'Site or department'), ('MultipleUsers', 'Multiple users'), ('SingleUser', 'Single user')], default='SingleUser', max_length=16, verbose_name='business impact'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='completion_code',
                    field=models.CharField(blank=True, choices=[('Successful', 'Successful'), ('SuccessfulWithProblems', 'Successful with problems'), ('Failed', 'Failed'), ('BackedOut', 'Backed out'), ('Rejected', 'Rejected'), ('Withdrawn', 'Withdrawn')], max_length=22, null=True, verbose_name='completion code'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='phase',
                    field=models.CharField(choices=[('Log', 'Log'), ('Evaluate', 'Evaluate'), ('Plan', 'Plan'), ('ApprovePlan', 'Approve plan'), ('Deploy', 'Deploy'), ('Backout', 'Backout'), ('Validate', 'Validate'), ('Review', 'Review'), ('Close', 'Close'), ('Abandon', 'Abandon')], default='Log', editable=False, max_length=11, verbose_name='phase'),
                ),
                migrations.AlterField(
                    model_name='change',
                    name='urgency',
                    field=models.CharField(choices=[('TotalLossOfService', 'Total loss of service'), ('SevereDisruption', 'Severe disruption'), ('SlightDisruption', 'Slight disruption'), ('NoDisruption', 'No disruption')], default='SlightDisruption', max_length=18, verbose_name='urgency'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='business_impact',
                    field=models.CharField(choices=[('Enterprise', 'Enterprise'), ('SiteOrDepartment', 'Site or department'), ('MultipleUsers', 'Multiple users'), ('SingleUser', 'Single user')], default='SingleUser', max_length=16, verbose_name='business impact'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='completion_code',
                    field=models.CharField(blank=True, choices=[('Successful', 'Successful'), ('SuccessfulWithProblems', 'Successful with problems'), ('Failed', 'Failed'), ('BackedOut', 'Backed out'), ('Rejected', 'Rejected'), ('Withdrawn', 'Withdrawn')], max_length=22, null=True, verbose_name='completion code'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='phase',
                    field=models.CharField(choices=[('Log', 'Log'), ('Evaluate', 'Evaluate'), ('Plan', 'Plan'), ('ApprovePlan', 'Approve plan'), ('Deploy', 'Deploy'), ('Backout', 'Backout'), ('Validate', 'Validate'), ('Review', 'Review'), ('Close', 'Close'), ('Abandon', 'Abandon')], default='Log', editable=False, max_length=11, verbose_name='phase'),
                ),
                migrations.AlterField(
                    model_name='historicalchange',
                    name='urgency',
                    field=models.CharField(choices=[('TotalLossOfService', 'Total loss of service'), ('SevereDisruption', 'Severe disruption'), ('SlightDisruption', 'Slight disruption'), ('NoDisruption', 'No disruption')], default='SlightDisruption', max_length=18, verbose_name='urgency'),
                ),
            ],
        ),
    ]
