"""What the list of changes is filtered, sorted and searched by, each from an index that gives the rows in order.

Two of them PostgreSQL alone has: SQLite reads the rows.
"""

from django.conf import settings
from django.db import migrations, models

# As changes/queries/search.py and changes/queries/windows.py ask for it.
ON_POSTGRESQL = {
    "change_search": """
        CREATE INDEX change_search ON changes_change USING gin (UPPER(
            ' ' || number || chr(10) || ' ' || title || chr(10) || ' ' || service || chr(10) || ' ' || category
            || chr(10) || ' ' || description
        ) gin_trgm_ops)
    """,
    "change_window": """
        CREATE INDEX change_window ON changes_change
        USING gist (tstzrange(planned_start, COALESCE(planned_end, planned_start), '[]'))
        WHERE planned_start IS NOT NULL
    """,
}


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # A trusted extension: the owner of the database may create it.
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        for statement in ON_POSTGRESQL.values():
            schema_editor.execute(statement)
        # What an index is made of has figures of its own, which the planner else lacks until the next autovacuum.
        schema_editor.execute("ANALYZE changes_change")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for name in ON_POSTGRESQL:
            schema_editor.execute(f"DROP INDEX {name}")


def take_the_time(apps, schema_editor):
    """A million changes take minutes, which no statement may take otherwise."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET LOCAL statement_timeout = 0")


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("changes", "0004_bulk_jobs"),
    ]

    operations = [
        migrations.RunPython(take_the_time, take_the_time),
        migrations.AlterField(
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
        migrations.AddIndex(
            model_name="change",
            index=models.Index(fields=["requested_by", "-id"], name="change_requested_by"),
        ),
        migrations.AddIndex(
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
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("phase__in", ["Close", "Abandon"]), _negated=True),
                fields=["id", "phase", "owning_group", "priority"],
                name="change_open",
            ),
        ),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("completion_code__isnull", False)),
                fields=["completion_code", "-id"],
                name="change_completion_code",
            ),
        ),
        migrations.RunPython(create, drop),
    ]
