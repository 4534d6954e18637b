"""The pages of signing in that django-allauth has not, or that need more than it shows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.views import LoginView, PasswordChangeView, PasswordResetView
from allauth.mfa import app_settings
from allauth.mfa.base.views import IndexView
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.openid_connect import views as openid_connect
from allauth.usersessions.forms import ManageUserSessionsForm
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from requests import RequestException

from .confirming import is_confirmed
from .provider import is_known_to_provider
from .second_factor import has_one, is_missing, note_ended
from .signals import signed_out_everywhere

logger = logging.getLogger(__name__)


class SignIn(LoginView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self.request.GET.get("next") or self.request.POST.get("next") or ""
        context = super().get_context_data(**kwargs) | {"next": wanted, "has_mail": settings.HAS_MAIL}
        if settings.OIDC_SERVER_URL:
            address = reverse("openid_connect_login", args=[settings.OIDC_PROVIDER])
            context["provider"] = settings.OIDC_NAME
            context["provider_address"] = f"{address}?{urlencode({'next': wanted})}" if wanted else address
        return context


class Security(IndexView):
    """A person's own page: password, second factor, sessions."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        context = super().get_context_data(**kwargs)
        if codes := context["authenticators"].get(Authenticator.Type.RECOVERY_CODES):
            context["codes_left"] = app_settings.RECOVERY_CODE_COUNT - codes.instance.data["used_mask"].bit_count()
        return context | {
            "is_missing": is_missing(self.request),
            "has_one": has_one(user),
            "has_password": user.has_usable_password(),
            "provider": settings.OIDC_NAME if is_known_to_provider(user) else "",
        }


class ChangePassword(PasswordChangeView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated and not request.user.has_usable_password():
            raise PermissionDenied(_("Your account has no password here."))
        return super().dispatch(request, *args, **kwargs)


class ResetPassword(PasswordResetView):
    """Without a mail server it says so, and sends nothing."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"has_mail": settings.HAS_MAIL}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.HAS_MAIL:
            return self.get(request, *args, **kwargs)
        return super().post(request, *args, **kwargs)


@method_decorator(login_required, name="dispatch")
class Sessions(ListUserSessionsView):
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # A session from before an upgrade of this product is in no list yet.
        if not UserSession.objects.filter(session_key=request.session.session_key or "").exists():
            UserSession.objects.create_from_request(request)
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: ManageUserSessionsForm) -> HttpResponse:
        others = UserSession.objects.filter(user_id=self.request.user.pk)
        count = others.exclude(session_key=self.request.session.session_key or "").count()
        with transaction.atomic():
            signed_out_everywhere.send(sender=Sessions, request=self.request, user=self.request.user)
            response = super().form_valid(form)
            note_ended(self.request.user, count)
        return response


# --- The OpenID provider ---


def _while_it_answers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answers 502 if the provider cannot be reached, or leaves out what every provider says."""

    @wraps(view)
    def answered(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (RequestException, KeyError, ValueError):
            logger.exception("The OpenID provider does not answer as it should. Check OIDC_SERVER_URL.")
            return render(request, "socialaccount/authentication_error.html", status=HTTPStatus.BAD_GATEWAY)

    return answered


def _start(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Sends the person to the provider, to sign in and for nothing else.

    django-allauth's own view does what the address asks for, such as to connect the provider's account with the account
    that is signed in. A link from elsewhere could then connect somebody else's.
    """
    try:
        provider = get_adapter(request).get_provider(request, provider_id)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    wanted = request.GET.get("next", "")
    is_ours = get_account_adapter(request).is_safe_url(wanted)
    return provider.redirect(request, process="login", next_url=wanted if is_ours else None)


start_at_provider = _while_it_answers(_start)
back_from_provider = _while_it_answers(openid_connect.callback)


@login_required
@never_cache
@_while_it_answers
def confirm_with_provider(request: HttpRequest) -> HttpResponse:
    """Has the provider ask for the password again, whether or not the person is signed in there."""
    if not is_known_to_provider(request.user):
        raise Http404
    provider = get_adapter(request).get_provider(request, settings.OIDC_PROVIDER)
    back = f"{reverse('confirmed_with_provider')}?{urlencode({'next': request.GET.get('next', '')})}"
    asks = {"prompt": "login", "max_age": "0"}
    return provider.redirect(request, process="login", next_url=back, auth_params=asks)


@login_required
@never_cache
def confirmed_with_provider(request: HttpRequest) -> HttpResponse:
    """Leads back to the page that asked, if the provider says that it asked for the password just now."""
    if not is_confirmed(request):
        said = _("%(provider)s does not say that it asked for your password just now, so this is not confirmed.")
        raise PermissionDenied(said % {"provider": settings.OIDC_NAME})
    wanted = request.GET.get("next", "")
    return redirect(wanted if get_account_adapter(request).is_safe_url(wanted) else settings.LOGIN_REDIRECT_URL)
