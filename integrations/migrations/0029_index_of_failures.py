"""The failed attempts of a day are counted from an index."""

from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("integrations", "0028_answer_headers_and_failures")]

    operations = [
        AddIndexOnline(
            model_name="deliveryattempt",
            index=models.Index(
                condition=models.Q(("failure__in", ("", "unusable_answer")), _negated=True),
                fields=["started_at"],
                name="attempt_failed",
            ),
        ),
    ]
