from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _


class ChangesConfig(AppConfig):
    name = "changes"
    verbose_name = _("Changes")

    def ready(self) -> None:
        from . import receivers
        from .bulk import change_kinds
        from .models.additions import searched_by
        from .pages.change import timeline_kinds
        from .pages.preferences import preferences
        from .pages.sign_in import middleware
        from .queries import search
        from .security_log import receivers as security_receivers

        connection_created.connect(search.teach_sqlite)
        change_kinds.connect()
        timeline_kinds.connect()
        preferences.connect()
        middleware.connect()
        receivers.connect()
        security_receivers.connect()
        search.offer(search.Source(searched_by, "body"))
