"""Which of two databases a query goes to, if there is a read replica."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from changes.replica.reading import REPLICA, is_read_from_replica

# Who is signed in, and what they may do, is never read from the replica.
APPS = {"changes", "integrations"}


class ReplicaRouter:
    """Writes, locks, and all that is read outside `reading_from_replica()` go to the primary.

    It names a database in each case. Otherwise Django would take the one from which a related record came.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return REPLICA if is_read_from_replica() and model._meta.app_label in APPS else DEFAULT_DB_ALIAS

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if db == REPLICA else None
