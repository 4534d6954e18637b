"""Makes API tokens by hand, and names them in the admin's history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from knox.models import AuthToken

from .naming import token_name


@sensitive_variables("text")
def make(user: User, expiry: datetime | None) -> tuple[AuthToken, str]:
    """A new token and its text, which is stored nowhere. `expiry`: None for a token that does not end."""
    token, text = AuthToken.objects.create(user, expiry=None)
    # knox takes a duration, but people give a point in time.
    token.expiry = expiry
    token.save(update_fields=["expiry"])
    return token, text


def label(token: AuthToken) -> str:
    return _("Token %(token)s of %(user)s") % {"token": token_name(token), "user": token.user}


def log(user: Any, token: AuthToken, action: int) -> LogEntry:
    """A log entry with the token's label. Django's own entry would contain its digest."""
    return LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(AuthToken),
        object_repr=label(token),
        action_flag=action,
    )
