"""A search reads comments too: PostgreSQL finds their words by an index, SQLite reads the rows."""

from django.db import migrations

from changes.setup.online_migrations import CreateIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("changes", "0009_verbose_names")]

    operations = [
        # As changes/queries/search.py asks for it.
        CreateIndexOnline(
            name="comment_search",
            table="changes_comment",
            using="USING gin (UPPER((' ' || body)) gin_trgm_ops)",
        ),
    ]
