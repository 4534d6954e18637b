from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = "Exchange"

    def ready(self) -> None:
        from . import bulk, change_list, checks, receivers, roles, timeline  # noqa: F401 - the checks register themselves

        receivers.connect()
        roles.connect()
        change_list.connect()
        timeline.connect()
        bulk.connect()
