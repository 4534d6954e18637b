from django.apps import AppConfig


class ChangesConfig(AppConfig):
    name = "changes"

    def ready(self) -> None:
        from . import preferences, receivers

        preferences.connect()
        receivers.connect()
