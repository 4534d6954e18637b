from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = _("Exchange")

    def ready(self) -> None:
        from changes import extensions

        from .choices import Delivery
        from .connections.delivering import MappedSender
        from .outgoing import receivers, sending
        from .pages.extension import extension
        from .security_events import receivers as security_receivers
        from .setup import checks, roles, separation  # noqa: F401 - the checks register themselves
        from .tokens import revoking

        receivers.connect()
        sending.register(Delivery.MAPPED, MappedSender)
        security_receivers.connect()
        roles.connect()
        separation.connect()
        revoking.connect()
        extensions.register(extension())
