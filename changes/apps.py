from django.apps import AppConfig


class ChangesConfig(AppConfig):
    name = "changes"

    def ready(self) -> None:
        from . import preferences, receivers
        from .bulk import change_kinds

        change_kinds.connect()
        preferences.connect()
        receivers.connect()
