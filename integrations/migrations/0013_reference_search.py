"""A search reads external ids too: PostgreSQL finds parts of them by an index, SQLite reads the rows."""

from django.db import migrations


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # A million references take minutes, which no statement may take otherwise.
        schema_editor.execute("SET LOCAL statement_timeout = 0")
        # As changes/queries/search.py asks for it.
        schema_editor.execute(
            "CREATE INDEX reference_search ON integrations_externalreference "
            "USING gin (UPPER((' ' || external_id)) gin_trgm_ops)"
        )
        schema_editor.execute("ANALYZE integrations_externalreference")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX reference_search")


class Migration(migrations.Migration):
    # The extension pg_trgm comes with the first of the changes' own.
    dependencies = [("integrations", "0012_external_url_of_any_host"), ("changes", "0010_comment_search")]

    operations = [migrations.RunPython(create, drop)]
