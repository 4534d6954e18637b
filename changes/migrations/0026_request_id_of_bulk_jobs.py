from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("changes", "0025_plans_that_wait")]

    operations = [
        migrations.AddField(
            model_name="bulkjob",
            name="request_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of the request that confirmed it.",
                max_length=64,
            ),
        ),
    ]
