"""The password with which an SMAX adapter signs in: that of the authorized user of its system."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from knox.models import AuthToken

from integrations.models import ExternalSystem
from integrations.models.accounts import is_partner_account, is_staff_account


@sensitive_variables("password")
def check(user: User, password: str) -> None:
    """Raises ValidationError unless this may become the password of this authorized user."""
    if is_staff_account(user) or not is_partner_account(user):
        raise ValidationError(_("Only a partner's account gets its password here."), code="not_a_partner")
    validate_password(password, user)


@sensitive_variables("password")
def replace(system: ExternalSystem, password: str) -> int:
    """Sets the password, which revokes the account's API tokens. Returns how many. Raises ValidationError."""
    user = system.authorized_user
    check(user, password)
    tokens = AuthToken.objects.filter(user=user)
    with transaction.atomic():
        before = tokens.count()
        user.set_password(password)
        user.save(update_fields=["password"])
        return before - tokens.count()
