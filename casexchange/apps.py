from django.apps import apps
from django.contrib.admin.apps import AdminConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate

from changes.setup.online_migrations import LOCK_WAIT

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


class CaseExchangeAdminConfig(AdminConfig):
    default_site = "casexchange.admin.CaseExchangeAdminSite"

    def ready(self) -> None:
        from .library_names import name_records

        name_records()  # before the forms of the administration are made
        super().ready()
        from .admin import SECTIONS

        for label, name in SECTIONS.items():
            apps.get_app_config(label).verbose_name = name
        # Django sends each signal once per app: connect to one app only, the first.
        first = apps.get_app_config("changes")
        pre_migrate.connect(_lift_limits, sender=first, dispatch_uid="casexchange.lift_limits")
        post_migrate.connect(_restore_limits, sender=first, dispatch_uid="casexchange.restore_limits")


def _lift_limits(using: str, **kwargs: object) -> None:
    """Lifts the time limits during `migrate`: building an index on a large table may take longer than they allow.

    But for the wait for a lock. Behind an `ALTER TABLE` that waits, such as for a backup, everybody else would wait.
    The command `migrate` of this project tries again.
    """
    _execute(using, [f"SET {name} = 0" for name in LIMITS] + [f"SET lock_timeout = {LOCK_WAIT * 1000:.0f}"])


def _restore_limits(using: str, **kwargs: object) -> None:
    _execute(using, [f"RESET {name}" for name in LIMITS])


def _execute(using: str, statements: list[str]) -> None:
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
