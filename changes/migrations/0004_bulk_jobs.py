import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("changes", "0003_preferences_and_saved_filters"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkJob",
            fields=[
                ("id", models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=20)),
                ("parameters", models.JSONField(default=dict)),
                ("language", models.CharField(max_length=10)),
                ("total", models.PositiveIntegerField()),
                ("back", models.TextField(blank=True, help_text="The address of the form that asked for it.")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("confirmed_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("active_at", models.DateTimeField(null=True)),
                ("stopped_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="bulk_jobs",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["user", "-id"], name="bulk_job_of_user"),
                    models.Index(
                        condition=models.Q(("confirmed_at__isnull", False), ("finished_at", None)),
                        fields=["confirmed_at"],
                        name="bulk_job_unfinished",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BulkItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField()),
                ("target", models.CharField(help_text="The record's key.", max_length=36)),
                ("label", models.CharField(max_length=300)),
                ("seen", models.PositiveIntegerField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("unchanged", "Unchanged"),
                            ("failed", "Not done"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("message", models.CharField(blank=True, max_length=1000)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="items",
                        to="changes.bulkjob",
                    ),
                ),
            ],
            options={
                "ordering": ["job", "position"],
                "indexes": [models.Index(fields=["job", "status", "position"], name="bulk_item_of_job")],
                "constraints": [
                    models.UniqueConstraint(fields=("job", "position"), name="bulk_item_once_in_position")
                ],
            },
        ),
    ]
