"""OpenID Connect for staff: an account of the company's provider signs in here, with the roles that the provider names.

An account belongs to the provider's subject (`sub`), never to a name or a mail address, which may be given to somebody
else later. A provider's account never takes over an account that was here before: an administrator links them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from allauth.account.utils import user_username
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.utils.translation import gettext as _

from changes.actor import Person
from changes.choices import Role
from changes.security_log.recording import NOTHING, acting_as, refuse

from .confirming import PROVIDER_ASKED_AT

# Whether the provider said that it asked for more than a password.
PROVIDER_SECOND_FACTOR = "provider_second_factor"
# Values of the claim `amr` (RFC 8176) that stand for a second factor.
_SECOND_FACTORS = {"mfa", "otp", "hwk", "swk", "sms", "fpt", "face", "iris", "sc"}
# Seconds by which the clocks may differ.
_SKEW = 60


class ProviderAdapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True  # pre_social_login has refused whoever may not

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuses who may not sign in, and brings the roles of an account that exists up to date."""
        try:
            claims = _claims(sociallogin)
            roles = {*_roles(claims)}
            if sociallogin.is_existing:
                _set_roles(sociallogin.user, roles)
                is_allowed = sociallogin.user.is_staff
            else:
                _check_new_name(sociallogin.user, claims)
                is_allowed = bool(roles)
            if not is_allowed:
                raise ValidationError(_no_role())
        except ValidationError as error:
            named = {"provider": settings.OIDC_NAME, "subject": sociallogin.account.uid}
            refuse("provider_refused", NOTHING, named)
            page = render(request, "registration/refused.html", {"why": " ".join(error.messages)}, status=403)
            raise ImmediateHttpResponse(page) from error

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        with transaction.atomic(), acting_as(settings.OIDC_NAME):
            user = super().save_user(request, sociallogin, form)
            _set_roles(user, {*_roles(_claims(sociallogin))})
        return user


# --- What the provider says ---


def _claims(sociallogin: SocialLogin) -> dict[str, Any]:
    """All claims of the ID token and of the user information, which must be about the same person."""
    said = sociallogin.account.extra_data
    token, more = said.get("id_token") or {}, said.get("userinfo") or {}
    if token.get("sub") != more.get("sub", token.get("sub")):
        raise ValidationError(_("The provider's answers are about different people."))
    return {**more, **token}


def _roles(claims: Mapping[str, Any]) -> Iterator[str]:
    value: Any = claims
    # A dotted name leads into objects, as in Keycloak's realm_access.roles.
    for part in settings.OIDC_ROLES_CLAIM.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    named = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    for name in named:
        if role := settings.OIDC_ROLES.get(str(name).casefold()):
            yield role


def _no_role() -> str:
    said = _("%(provider)s gives your account no role of this service desk. Ask its administrators for one.")
    return said % {"provider": settings.OIDC_NAME}


# --- The account here ---


def _check_new_name(user: Any, claims: Mapping[str, Any]) -> None:
    """Raises ValidationError if no account of that name can be made."""
    name = str(claims.get(settings.OIDC_USERNAME_CLAIM) or "")
    if get_user_model().objects.filter(username__iexact=name).exists():
        said = _(
            "There is an account named %(name)s already. If it is yours, ask an administrator of this service desk to "
            "link it with your account of %(provider)s."
        )
        raise ValidationError(said % {"name": name, "provider": settings.OIDC_NAME})
    user_username(user, name)
    try:
        user._meta.get_field("username").clean(name, user)
    except ValidationError as error:
        said = _("%(provider)s gives your account the name “%(name)s”, which is not possible here.")
        raise ValidationError(said % {"name": name[:150], "provider": settings.OIDC_NAME}) from error


def _set_roles(user: Any, roles: set[str]) -> None:
    """Gives `user` these roles and takes away the others. Groups that are no role stay as they are.

    Raises ValidationError for the authorized user of a partner, who must not hold a role.
    """
    wanted = set(Group.objects.filter(name__in=roles))
    held = set(user.groups.filter(name__in=Role.values))
    with transaction.atomic(), acting_as(settings.OIDC_NAME):
        user.groups.remove(*(held - wanted))
        user.groups.add(*(wanted - held))
    user.refresh_from_db(fields=["is_staff"])


def is_known_to_provider(user: Person) -> bool:
    if not settings.OIDC_SERVER_URL or not user.is_authenticated:
        return False
    return SocialAccount.objects.filter(user_id=user.pk, provider=settings.OIDC_PROVIDER).exists()


# --- The session ---


def remember_sign_in(request: HttpRequest, sociallogin: SocialLogin | None) -> None:
    """Notes in the new session when the provider asked for a password, and whether for more."""
    if sociallogin is None:
        return
    token = sociallogin.account.extra_data.get("id_token") or {}
    asked = token.get("auth_time")
    if isinstance(asked, int | float) and asked <= time.time() + _SKEW:
        request.session[PROVIDER_ASKED_AT] = asked
    used = token.get("amr")
    request.session[PROVIDER_SECOND_FACTOR] = isinstance(used, list) and not _SECOND_FACTORS.isdisjoint(map(str, used))
