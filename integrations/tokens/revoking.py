"""Revokes the tokens of an account when it becomes inactive, gets a new password, or is signed out everywhere.

The receivers hang on the signals of the account, so that every way in counts: the administration, the page of a
forgotten password, a command, a shell. `QuerySet.update()` sends no signal. For accounts that became inactive by it
there are a sweep, and the save that makes them active again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.signals import pre_save
from knox.models import AuthToken

from changes.pages.sign_in.signals import signed_out_everywhere
from integrations.models import SmaxToken

from .naming import token_name

logger = logging.getLogger(__name__)


def revoke(tokens: QuerySet[AuthToken], why: str) -> int:
    """Revokes these tokens. Returns how many there were."""
    with transaction.atomic():
        # Locked, so that a call that notes its first use at this moment cannot keep the token from being deleted.
        found = list(tokens.select_related("user").select_for_update(of=("self",)).order_by("pk"))
        for token in found:
            token.delete()
    for token in found:
        logger.info("A token of %s, %s, is revoked: %s", token.user.get_username(), token_name(token), why)
    return len(found)


def revoke_of(user: User, why: str) -> int:
    SmaxToken.objects.filter(user=user).delete()
    return revoke(AuthToken.objects.filter(user=user), why)


def revoke_of_inactive() -> int:
    """The sweep, for accounts that became inactive without a signal."""
    return revoke(AuthToken.objects.filter(user__is_active=False), "the account is inactive")


def before_an_account_is_saved(
    sender: object, instance: User, raw: bool, update_fields: Collection[str] | None, **kwargs: object
) -> None:
    """Before the save: if the process dies between the two, the tokens are gone rather than left over."""
    written = {"is_active", "password"} & {*(("is_active", "password") if update_fields is None else update_fields)}
    if raw or instance._state.adding or not written:
        return
    stored: Any = get_user_model().objects.filter(pk=instance.pk).values("is_active", "password").first()
    if stored is None:
        return
    if "is_active" in written and not instance.is_active:
        revoke_of(instance, "the account is inactive")
    elif "is_active" in written and not stored["is_active"]:
        revoke_of(instance, "the account was inactive")
    elif "password" in written and _is_new_password(instance, stored["password"], update_fields):
        revoke_of(instance, "the account has a new password")


def _is_new_password(user: User, stored: str, update_fields: Collection[str] | None) -> bool:
    if user.password == stored or not (is_password_usable(user.password) or is_password_usable(stored)):
        return False
    # At a sign-in Django hashes the same password again when its hash is out of date.
    is_same = user._password is None and {*(update_fields or ())} == {"password"}  # type: ignore[attr-defined]
    return not (is_same and _is_out_of_date(stored))


def _is_out_of_date(stored: str) -> bool:
    preferred = get_hasher("default")
    try:
        return identify_hasher(stored).algorithm != preferred.algorithm or preferred.must_update(stored)
    except ValueError:  # a hash of an unknown kind
        return False


def after_signing_out_everywhere(sender: object, user: User, **kwargs: object) -> None:
    revoke_of(user, "the account was signed out everywhere")


def connect() -> None:
    user = get_user_model()
    pre_save.connect(before_an_account_is_saved, sender=user, dispatch_uid="integrations.revoke_before_save")
    signed_out_everywhere.connect(after_signing_out_everywhere, dispatch_uid="integrations.revoke_at_sign_out")
