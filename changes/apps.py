from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    name = "changes"
    verbose_name = _("Changes")

    def ready(self) -> None:
        from . import events, preferences, receivers
        from .bulk import change_kinds

        change_kinds.connect()
        events.connect()
        preferences.connect()
        receivers.connect()
