"""Fills an empty installation with demo data: accounts, configuration, and changes with their history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from integrations.choices import Delivery
from integrations.models import ExternalSystem
from integrations.sandbox.local.simulation import Account
from integrations.setup.configuration import load as load_configuration

from .history import Historian
from .invented_past import identify_when_recorded
from .lives import lives

CONFIGURATION = Path(__file__).with_name("exchange.yaml")
# The partners that are pushed to, those that pull, and those with an SMAX adapter.
SYSTEMS = ("ACME", "BETA", "GAMMA")
PULLING = ("DELTA",)
POLLING = ("EPSILON",)
# The accounts that can sign in, each with its role, in the order in which they are shown.
ACCOUNTS = {
    "alice": "Service desk agent",
    "carol": "Change manager",
    "ingrid": "Integration administrator",
    "audrey": "Auditor",
    "admin": "Superuser",
}
# Users who only request changes and never sign in.
REQUESTERS = ("henry", "maria", "olga", "peter", "samira", "tom")


def is_empty() -> bool:
    """Whether the database has no users yet, and so was never used."""
    return not get_user_model().objects.exists()


def configuration(simulator_url: str) -> str:
    """The demo's configuration file, with the partner simulator at this address."""
    return CONFIGURATION.read_text(encoding="utf-8").replace("http://simulator.invalid", simulator_url)


def load_demo(passwords: Mapping[str, str], simulator_url: str, environment: Mapping[str, str]) -> int:
    """Loads all demo data, or nothing on an error. Returns the number of changes.

    `passwords`: by user name. `environment`: values for the `${NAME}` in the configuration.
    """
    historian = None
    try:
        with transaction.atomic():
            load_configuration(configuration(simulator_url), environment)
            users = _people(passwords)
            historian = Historian(users["alice"], users["carol"], [users[name] for name in REQUESTERS])
            written = [historian.write(life) for life in lives(timezone.now())]
            identify_when_recorded()
    except BaseException:
        for attachment in historian.attachments if historian else ():
            attachment.discard_file()
        raise
    return len(written)


def _people(passwords: Mapping[str, str]) -> dict[str, Any]:
    model = get_user_model()
    for name in REQUESTERS:
        model.objects.create_user(name)
    model.objects.create_superuser("admin")
    for name, password in passwords.items():
        user = model.objects.get(username=name)
        user.set_password(password)
        user.save()
    return {user.get_username(): user for user in model.objects.all()}


def make_tokens() -> dict[str, str]:
    """Creates a token for our API for each partner that needs one. Returns the tokens by `system_id`."""
    return {
        system.system_id: AuthToken.objects.create(system.authorized_user, expiry=None)[1]
        for system in ExternalSystem.objects.filter(system_id__in=(*SYSTEMS, *PULLING)).select_related(
            "authorized_user"
        )
    }


def adapters(passwords: Mapping[str, str]) -> dict[str, Account]:
    """The accounts with which the SMAX adapters sign in, by `system_id`. `passwords`: by `system_id` too."""
    systems = ExternalSystem.objects.filter(system_id__in=passwords, delivery=Delivery.SMAX)
    return {
        system.system_id: Account(system.authorized_user.get_username(), passwords[system.system_id])
        for system in systems.select_related("authorized_user")
    }


def password_variables(passwords: Mapping[str, str]) -> dict[str, str]:
    """The passwords of the adapters as the configuration names them."""
    return {f"{name}_PASSWORD": password for name, password in passwords.items()}
