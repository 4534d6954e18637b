from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("changes", "0007_planned_order")]

    operations = [
        migrations.AddField(model_name="bulkitem", name="told", field=models.JSONField(null=True)),
    ]
