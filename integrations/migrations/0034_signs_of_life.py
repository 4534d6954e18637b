from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("integrations", "0033_refused_here")]

    operations = [
        migrations.CreateModel(
            name="SignOfLife",
            fields=[
                ("role", models.CharField(max_length=20, primary_key=True, serialize=False, verbose_name="role")),
                ("seen_at", models.DateTimeField(verbose_name="seen at")),
            ],
            options={"default_permissions": ()},
        ),
    ]
