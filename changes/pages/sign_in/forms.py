"""The forms of signing in. They count what was wrong, and refuse who is locked."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from math import ceil
from typing import Any

from allauth.account.forms import (
    ChangePasswordForm,
    LoginForm,
    ReauthenticateForm,
    ResetPasswordForm,
    ResetPasswordKeyForm,
)
from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateByCodeForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, AuthenticateWebAuthnForm, ReauthenticateWebAuthnForm
from django.contrib.auth.password_validation import password_validators_help_texts
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import Field
from django.utils.translation import gettext_lazy as _

from changes.rate_limits import Rate, use

from .lockout import count_failure, refuse_if_locked

# To one address.
RESET_MAILS = Rate(5, 3600)


class _Plain:
    """django-allauth's fields without placeholders, which repeat the label, and without links in their help."""

    fields: dict[str, Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs.pop("placeholder", None)
            if name in {"password", "oldpassword"}:
                field.help_text = ""
            elif name == "password1":
                field.help_text = " ".join(password_validators_help_texts())


class SignInForm(_Plain, LoginForm):
    """django-allauth's form, with the field names that this page always had."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("Username")
        self.fields["login"].widget.attrs |= {"autocapitalize": "none", "autofocus": True}

    def add_prefix(self, field_name: str) -> str:
        return "username" if field_name == "login" else super().add_prefix(field_name)


class ConfirmForm(_Plain, ReauthenticateForm):
    pass


class NewPasswordForm(_Plain, ResetPasswordKeyForm):
    pass


class ResetForm(_Plain, ResetPasswordForm):
    """Sends mail only to the address that the administration shows, and only to who signs in with a password here."""

    users: list[Any]

    def clean_email(self) -> str:
        # Counted over all processes, for every address, so the answer does not tell whether it has an account.
        if wait := use(f"reset-mail:{self.cleaned_data['email'].casefold()[:150]}", RESET_MAILS):
            message = _("Mail was asked for this address too often. Try again in %(minutes)s minutes.")
            raise ValidationError(message, code="too_many_mails", params={"minutes": ceil(wait / 60)})
        address = super().clean_email()
        self.users = [
            user for user in self.users if user.email.lower() == address.lower() and user.has_usable_password()
        ]
        return address


# --- What is counted by these forms themselves ---


class _Counted:
    """Counts a wrong proof of `user` as a wrong password at the sign-in is counted, and refuses who is locked."""

    user: Any

    def _check(self, check: Callable[[], Any]) -> Any:
        refuse_if_locked(context.request, self.user)
        try:
            return check()
        except ValidationError:
            count_failure(context.request, self.user)
            raise


class ChangeForm(_Plain, _Counted, ChangePasswordForm):
    def clean_oldpassword(self) -> str:
        return self._check(super().clean_oldpassword)


class _Code(_Plain, _Counted):
    authenticator: Authenticator
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        return self._check(self._check_once)

    def _check_once(self) -> str:
        """A code of an authenticator app is accepted once, by all processes together."""
        with transaction.atomic():
            # One attempt of an account at a time, so that two cannot use the same code.
            list(Authenticator.objects.select_for_update().filter(user=self.user))
            code = super().clean_code()  # type: ignore[misc]
            if self.authenticator.type == Authenticator.Type.TOTP and not _use(self.authenticator, code):
                raise get_adapter().validation_error("incorrect_code")
        return code


def _use(authenticator: Authenticator, code: str) -> bool:
    """Notes that `code` was used. False if it was used before while it is valid."""
    digits = normalize_user_code(code)
    oldest = time.time() - app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
    used = {known: at for known, at in authenticator.data.get("used", {}).items() if at > oldest}
    if digits in used:
        return False
    authenticator.data["used"] = {**used, digits: time.time()}
    authenticator.save(update_fields=["data"])
    return True


class AddAppForm(_Plain, ActivateTOTPForm):
    pass


class CodeForm(_Code, AuthenticateForm):
    pass


class ConfirmByCodeForm(_Code, ReauthenticateByCodeForm):
    pass


def _read(check: Callable[[], Any]) -> Any:
    """What a browser sends of a security key. Raises ValidationError if it is not whole."""
    try:
        return check()
    except (AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        # The library does not check what it reads before it reads it.
        raise get_adapter().validation_error("incorrect_code") from error


class _Key(_Plain, _Counted):
    def clean_credential(self) -> Authenticator:
        check = super().clean_credential  # type: ignore[misc]
        return self._check(lambda: _read(check))


class KeyForm(_Key, AuthenticateWebAuthnForm):
    pass


class ConfirmByKeyForm(_Key, ReauthenticateWebAuthnForm):
    pass


class AddKeyForm(_Plain, AddWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Name of the key")

    def clean(self) -> dict[str, Any]:
        return _read(super().clean)
