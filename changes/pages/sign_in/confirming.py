"""Asks again for the password, or for another proof, before secrets, tokens and roles are shown or changed.

A browser that somebody left unlocked, or a stolen session, must not be enough for these.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from changes.pages.resume import keep

# When the OpenID provider last asked for the password, as its ID token says, in seconds.
PROVIDER_ASKED_AT = "provider_asked_at"


def confirmed_at(request: HttpRequest) -> float:
    """When the person of this session last gave a password, a code, or a key; 0 if never."""
    records = get_authentication_records(request, request.user)
    given = [record["at"] for record in records if record.get("method") in {"password", "mfa"}]
    return max([*given, request.session.get(PROVIDER_ASKED_AT) or 0])


def is_confirmed(request: HttpRequest) -> bool:
    """Whether that was a short time ago. A form that is sent may have been opened earlier: filling it in takes time."""
    age = settings.CONFIRMED_FORM_AGE if request.method == "POST" else settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return time.time() - confirmed_at(request) < age


def ask_again(request: HttpRequest, keeps_typed: bool = False) -> HttpResponse | None:
    """The redirect to the page that asks, which leads back here; None if nothing has to be asked now.

    `keeps_typed`: what was typed into the form waits for that, as over a sign-in (resume.py), but no secret of it.
    """
    if is_confirmed(request):
        return None
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    if not methods:
        raise PermissionDenied(_("Your account has no password and no second factor with which to confirm this."))
    if request.method == "POST" and keeps_typed and keep(request, is_signed_in=True):
        messages.warning(request, _("Nothing was changed: too much time has passed. Confirm: what you typed is kept."))
    elif request.method == "POST":
        # What was sent is not kept: it may contain a secret.
        messages.warning(request, _("Nothing was changed: too much time has passed. Confirm, and do it again."))
    return redirect(f"{methods[0]['url']}?{urlencode({'next': request.get_full_path()})}")


# For the type checker a ModelAdmin; otherwise a plain mixin, so that it can come before any other.
if TYPE_CHECKING:
    _Base = ModelAdmin[Any]
else:
    _Base = object


class ConfirmedAdmin(_Base):
    """Mixin for a ModelAdmin: asks again before its forms, its deletions, and its actions.

    Who may only look at the records is not asked.
    """

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if object_id is None:
            may_write = self.has_add_permission(request)
        else:
            may_write = self.has_change_permission(request, self.get_object(request, object_id))
        asked = ask_again(request) if may_write else None
        return asked or super().changeform_view(request, object_id, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return ask_again(request) or super().delete_view(request, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = ask_again(request) if request.method == "POST" else None
        return asked or super().changelist_view(request, *args, **kwargs)
