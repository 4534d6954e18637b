"""Makes all that a partner needs, in one transaction: account, system, groups, secrets and token."""

from __future__ import annotations

import secrets as random
from typing import Any

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from changes.security_log.recording import Subject, record
from integrations.choices import Delivery
from integrations.connections import revisions, secrets
from integrations.models import ExternalGroup, ExternalSystem, PartnerAccount
from integrations.setup import adapter_password
from integrations.tokens import making
from integrations.tokens.life import default_expiry
from integrations.transports import signing

from .partner_form import PartnerForm, free_accounts
from .sheet import Fresh

PERMISSIONS = (
    "integrations.add_externalsystem",
    "integrations.add_partneraccount",
    "integrations.add_externalgroup",
    "changes.add_supportgroup",
    "knox.add_authtoken",
)
# Stored in the admin's history, which is always English.
DONE = "Connected by the page “Connect a partner”."


@transaction.atomic
@sensitive_variables("fresh", "form")
def register(form: PartnerForm, user: User) -> tuple[ExternalSystem, Fresh]:
    """Saves what this valid form describes.

    Raises ValidationError or IntegrityError if somebody else took a name or an account, or gave a group members,
    meanwhile.
    """
    system = form.instance
    system.authorized_user = _account(form)
    if system.delivery == Delivery.PUSH:
        system.signing_secret = signing.new_secret()
    system.full_clean()
    system.save()
    groups = _groups(form, system)
    if form.connection and system.delivery == Delivery.MAPPED:
        secrets.write(system, form.secrets)
        revisions.activate(system, form.cleaned_data["document"], user, _("First document"))
    fresh = Fresh(_token(form, system, user), system.signing_secret, _password(system))
    made: list[Any] = [*([form.new_user] if form.new_user else []), system, *groups]
    for each in made:
        LogEntry.objects.log_actions(user.pk, [each], ADDITION, DONE, single_object=True)
    if system.signing_secret:
        record("secret_shown", Subject.of(system))
    return system, fresh


def _account(form: PartnerForm) -> User:
    if form.new_user is not None:
        return _new_account(form.new_user)
    chosen: User = form.cleaned_data["account"]
    # Locked, so that of two forms that are sent at once only one gets it.
    get_user_model().objects.select_for_update().filter(pk=chosen.pk).first()
    if not free_accounts().filter(pk=chosen.pk).exists():
        raise ValidationError(_("Somebody has just given this account to another system."))
    return chosen


def _new_account(user: User) -> User:
    user.full_clean(exclude=["password"])
    user.save()
    PartnerAccount.objects.create(user=user)
    return user


def _groups(form: PartnerForm, system: ExternalSystem) -> list[Any]:
    """Returns the new ones."""
    for group in form.made_groups:
        group.full_clean()
        group.save()
    for group in (*form.made_groups, *form.cleaned_data["groups"]):
        external = ExternalGroup(group=group, system=system)
        external.full_clean()
        external.save()
    return form.made_groups


@sensitive_variables("text")
def _token(form: PartnerForm, system: ExternalSystem, user: User) -> str:
    """The token with which the partner calls us; "" for one that signs in, or that never calls with a token."""
    if system.delivery == Delivery.SMAX:
        return ""
    if system.delivery == Delivery.MAPPED and not _inbox_takes_token(form):
        return ""
    token, text = making.make(system.authorized_user, default_expiry())
    making.log(user, token, ADDITION)
    return text


def _inbox_takes_token(form: PartnerForm) -> bool:
    inbox = form.connection.inbox if form.connection else None
    return inbox is not None and inbox.verify.kind == "token"


@sensitive_variables("password")
def _password(system: ExternalSystem) -> str:
    """The password of an SMAX adapter; "" if the account has one already, which others may use."""
    if system.delivery != Delivery.SMAX or system.authorized_user.has_usable_password():
        return ""
    password = random.token_urlsafe(24)
    adapter_password.replace(system, password)
    return password
