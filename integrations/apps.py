from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = _("Exchange")

    def ready(self) -> None:
        from . import bulk, change_list, checks, names, receivers, roles, timeline  # noqa: F401 - the checks register themselves

        names.name_all()
        receivers.connect()
        roles.connect()
        change_list.connect()
        bulk.connect()
        timeline.connect()
