"""Keeps the accounts of partners out of the pages: a password of theirs is for an adapter only."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import BaseBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from integrations.models import PartnerAccount


class NoPartners(BaseBackend):
    """Refuses to sign a partner's account in, whatever its password. It comes before the backend that would."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> None:
        """Raises PermissionDenied for a partner's account, which ends in the same answer as a wrong password."""
        if not username or not PartnerAccount.objects.filter(user__username=username).exists():
            return
        # As long as for anybody else, so that the time does not tell that there is such an account.
        get_user_model()().set_password(password)
        raise PermissionDenied
