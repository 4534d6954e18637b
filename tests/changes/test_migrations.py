"""An index that is added while others write."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from changes.models import Change
from changes.setup.online_migrations import AddIndexOnline

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_index_that_is_there_already_is_left_alone():
    """It may have been made by another migration, which has it no more."""
    state = MigrationExecutor(connection).loader.project_state()
    [index] = [index for index in Change._meta.indexes if index.name == "change_activity"]
    with connection.schema_editor(atomic=False) as editor:
        AddIndexOnline("change", index).database_forwards("changes", editor, state, state)
