"""System checks: warn of a configuration that would break a guarantee, and of records that are not allowed any more."""

import shlex
import shutil
from collections.abc import Collection

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Q

from integrations.choices import Delivery
from integrations.models import ExternalGroup, ExternalSystem


@register
def lease_outlasts_a_try(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    if settings.DELIVERY_LEASE > settings.DELIVERY_TIMEOUT:
        return []
    return [
        Warning(
            f"DELIVERY_LEASE ({settings.DELIVERY_LEASE:g} s) should be longer than "
            f"DELIVERY_TIMEOUT ({settings.DELIVERY_TIMEOUT:g} s). Otherwise an operation may be sent again while its "
            "request is still under way.",
            id="integrations.W001",
        )
    ]


@register(Tags.security, deploy=True)
def secrets_have_a_key_of_their_own(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    if settings.FIELD_ENCRYPTION_KEYS:
        return []
    text = "FIELD_ENCRYPTION_KEYS is not set. Secrets in the database are encrypted with a key made from SECRET_KEY."
    hint = (
        'Make a key with: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())". '
        "Set it, restart all processes, and run `python manage.py rotate_secrets`."
    )
    return [Warning(text, hint=hint, id="integrations.W005")]


@register
def the_scanner_exists(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    program = next(iter(shlex.split(settings.ATTACHMENT_SCAN_COMMAND)), "")
    if not program or shutil.which(program):
        return []
    text = f"ATTACHMENT_SCAN_COMMAND: there is no program {program} here, so no file is taken."
    return [Warning(text, hint="Install it, or give its whole path.", id="integrations.W007")]


@register(Tags.security, deploy=True)
def callers_behind_a_proxy_are_known(app_configs: object, **kwargs: object) -> list[CheckMessage]:
    if settings.TRUSTED_PROXIES or not settings.BASE_URL.startswith("https://"):
        return []
    text = "TRUSTED_PROXIES is not set. All callers behind your TLS proxy have one address, and share its limits."
    hint = "Set it to the networks of your proxies, such as 127.0.0.1/32."
    return [Warning(text, hint=hint, id="integrations.W006")]


@register(Tags.database)
def partners_are_apart(
    app_configs: object, databases: Collection[str] | None = None, **kwargs: object
) -> list[CheckMessage]:
    """Records of an earlier release that are not allowed any more. Nothing breaks, but a person must decide."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        # `migrate` checks before it makes the tables and columns that these queries read.
        missing = MigrationExecutor(connection)
        if missing.migration_plan(missing.loader.graph.leaf_nodes()):
            return []
        return [*_groups_with_both(), *_authorized_users(), *_adapters_without_password()]
    except OperationalError as error:
        text = f"The database cannot be reached, so its records were not checked: {error}"
        return [Warning(text, id="integrations.W004")]


def _adapters_without_password() -> list[CheckMessage]:
    systems = ExternalSystem.objects.without_secrets().filter(delivery=Delivery.SMAX, enabled=True)
    hint = "Set one in the form of the system, or with `password: ${NAME}` in a configuration file."
    return [
        Warning(
            f"{system.authorized_user}, the authorized user of {system}, has no password: its adapter cannot sign in.",
            hint=hint,
            id="integrations.W008",
        )
        for system in systems.select_related("authorized_user").order_by("system_id")
        if not system.authorized_user.has_usable_password()
    ]


def _groups_with_both() -> list[CheckMessage]:
    both = ExternalGroup.objects.filter(group__members__isnull=False).select_related("group", "system").distinct()
    text = "The support group {} has members and belongs to {}."
    hint = "A group is external or has members. Remove the members, or the external system, in the administration."
    return [
        Warning(text.format(row.group, row.system), hint=hint, id="integrations.W002")
        for row in both.order_by("group__name")
    ]


def _authorized_users() -> list[CheckMessage]:
    wrong = Q(authorized_user__partner_account=None) | Q(authorized_user__is_staff=True)
    systems = ExternalSystem.objects.without_secrets().filter(wrong | Q(authorized_user__is_superuser=True))
    text = "{}, the authorized user of {}, was not made as a partner's account, or is a member of staff."
    hint = "Make a new user for the partner, and choose it as the authorized user of the system."
    return [
        Warning(text.format(system.authorized_user.get_username(), system), hint=hint, id="integrations.W003")
        for system in systems.select_related("authorized_user").order_by("system_id")
    ]
