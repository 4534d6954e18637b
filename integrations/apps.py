from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = _("Exchange")

    def ready(self) -> None:
        from .outgoing import receivers
        from .pages import bulk_operations, list_columns, timeline_operations
        from .setup import checks, roles  # noqa: F401 - the checks register themselves

        receivers.connect()
        roles.connect()
        list_columns.connect()
        bulk_operations.connect()
        timeline_operations.connect()
