"""What the list of changes is filtered, sorted and searched by, each from an index that gives the rows in order.

Two of them PostgreSQL alone has: SQLite reads the rows.
"""

from django.conf import settings
from django.db import migrations, models

from changes.setup.online_migrations import AddIndexOnline, CreateIndexOnline, RemoveFieldIndexOnline


def add_trigrams(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # A trusted extension: the owner of the database may create it.
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("changes", "0004_bulk_jobs"),
    ]

    operations = [
        RemoveFieldIndexOnline(
            model_name="change",
            name="requested_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=models.deletion.PROTECT,
                related_name="requested_changes",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        AddIndexOnline(
            model_name="change",
            index=models.Index(fields=["requested_by", "-id"], name="change_requested_by"),
        ),
        AddIndexOnline(
            model_name="change",
            index=models.Index(
                models.Case(
                    models.When(priority="Critical", then=models.Value(0)),
                    models.When(priority="High", then=models.Value(1)),
                    models.When(priority="Medium", then=models.Value(2)),
                    default=models.Value(3),
                    output_field=models.IntegerField(),
                ),
                models.F("id"),
                name="change_priority",
            ),
        ),
        AddIndexOnline(
            model_name="change",
            index=models.Index(
                condition=models.Q(("phase__in", ["Close", "Abandon"]), _negated=True),
                fields=["id", "phase", "owning_group", "priority"],
                name="change_open",
            ),
        ),
        AddIndexOnline(
            model_name="change",
            index=models.Index(
                condition=models.Q(("completion_code__isnull", False)),
                fields=["completion_code", "-id"],
                name="change_completion_code",
            ),
        ),
        migrations.RunPython(add_trigrams, migrations.RunPython.noop),
        # As changes/queries/search.py and changes/queries/windows.py ask for it.
        CreateIndexOnline(
            name="change_search",
            table="changes_change",
            using="""USING gin (UPPER(
                ' ' || number || chr(10) || ' ' || title || chr(10) || ' ' || service || chr(10) || ' ' || category
                || chr(10) || ' ' || description
            ) gin_trgm_ops)""",
        ),
        CreateIndexOnline(
            name="change_window",
            table="changes_change",
            using="""USING gist (tstzrange(planned_start, COALESCE(planned_end, planned_start), '[]'))
                WHERE planned_start IS NOT NULL""",
        ),
    ]
