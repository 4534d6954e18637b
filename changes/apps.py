from django.apps import AppConfig


class ChangesConfig(AppConfig):
    name = "changes"

    def ready(self) -> None:
        from . import events, preferences, receivers
        from .bulk import change_kinds

        change_kinds.connect()
        events.connect()
        preferences.connect()
        receivers.connect()
