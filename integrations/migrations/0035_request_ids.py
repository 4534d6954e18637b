from django.db import migrations, models


class Migration(migrations.Migration):
    """A column with a constant default, which the database adds without rewriting the rows."""

    dependencies = [("integrations", "0034_signs_of_life")]

    operations = [
        migrations.AddField(
            model_name="outgoingoperation",
            name="request_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of the request that caused it. The logs name it, and the partner gets it.",
                max_length=64,
                verbose_name="request id",
            ),
        ),
        migrations.AddField(
            model_name="incomingoperation",
            name="request_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The partner's own if it gave one. The logs name it.",
                max_length=64,
                verbose_name="request id",
            ),
        ),
    ]
