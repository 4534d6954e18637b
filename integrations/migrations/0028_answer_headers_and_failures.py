"""Partner accounts are made by a role; attempts keep headers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0027_acknowledgements"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="exchange",
            options={"verbose_name": "link with a partner", "verbose_name_plural": "links with partners"},
        ),
        migrations.AlterModelOptions(
            name="partneraccount",
            options={
                "default_permissions": ("add",),
                "verbose_name": "partner account",
                "verbose_name_plural": "partner accounts",
            },
        ),
        migrations.AddField(
            model_name="deliveryattempt",
            name="answer_headers",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="One in a line, without cookies and other secrets.",
                verbose_name="headers of the answer",
            ),
        ),
    ]
