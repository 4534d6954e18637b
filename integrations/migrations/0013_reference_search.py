"""A search reads external ids too: PostgreSQL finds parts of them by an index, SQLite reads the rows."""

from django.db import migrations

from changes.setup.online_migrations import CreateIndexOnline


class Migration(migrations.Migration):
    atomic = False
    # The extension pg_trgm comes with the first of the changes' own.
    dependencies = [("integrations", "0012_external_url_of_any_host"), ("changes", "0010_comment_search")]

    operations = [
        # As changes/queries/search.py asks for it.
        CreateIndexOnline(
            name="reference_search",
            table="integrations_externalreference",
            using="USING gin (UPPER((' ' || external_id)) gin_trgm_ops)",
        ),
    ]
