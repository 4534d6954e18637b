"""The permissions of each role on the exchange. For those on change records see changes/setup/roles.py."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from changes.choices import Role
from changes.setup.roles import grant

_MODELS = (
    "externalsystem",
    "externalgroup",
    "externalreference",
    "exchange",
    "outgoingoperation",
    "incomingoperation",
    "deliveryattempt",
)
_VIEW = [f"integrations.view_{model}" for model in _MODELS]
PERMISSIONS = {
    Role.AGENT: [*_VIEW, "integrations.add_acknowledgement"],
    Role.CHANGE_MANAGER: [*_VIEW, "integrations.add_acknowledgement"],
    Role.INTEGRATION_ADMINISTRATOR: [
        *_VIEW,
        "integrations.add_acknowledgement",
        *(f"integrations.{action}_externalsystem" for action in ("add", "change", "delete")),
        *(f"integrations.{action}_externalgroup" for action in ("add", "change", "delete")),
        "integrations.add_partneraccount",
        "integrations.retry_outgoingoperation",
        "integrations.skip_outgoingoperation",
        *(f"knox.{action}_authtoken" for action in ("view", "add", "delete")),
    ],
    Role.AUDITOR: [*_VIEW, "knox.view_authtoken"],
}


def grant_permissions(sender: AppConfig, **kwargs: object) -> None:
    grant(PERMISSIONS, [sender, apps.get_app_config("knox")])


def connect() -> None:
    post_migrate.connect(
        grant_permissions, sender=apps.get_app_config("integrations"), dispatch_uid="integrations.grant_permissions"
    )
