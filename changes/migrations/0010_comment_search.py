"""A search reads comments too: PostgreSQL finds their words by an index, SQLite reads the rows."""

from django.db import migrations


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # A million comments take minutes, which no statement may take otherwise.
        schema_editor.execute("SET LOCAL statement_timeout = 0")
        # As changes/queries/search.py asks for it.
        schema_editor.execute(
            "CREATE INDEX comment_search ON changes_comment USING gin (UPPER((' ' || body)) gin_trgm_ops)"
        )
        schema_editor.execute("ANALYZE changes_comment")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX comment_search")


class Migration(migrations.Migration):
    dependencies = [("changes", "0009_verbose_names")]

    operations = [migrations.RunPython(create, drop)]
