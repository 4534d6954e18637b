"""How django-allauth treats the accounts of this product."""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any
from urllib.parse import quote

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _

from .confirming import is_confirmed
from .provider import is_known_to_provider, remember_sign_in

logger = logging.getLogger(__name__)


def _mismatch() -> str:
    name = get_user_model()._meta.get_field("username").verbose_name
    return str(AuthenticationForm.error_messages["invalid_login"] % {"username": name})


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": lazy(_mismatch, str)(),  # in the language of the page
    }

    # --- Asking again ---

    def is_reauthentication_required(self, *, app: str, **kwargs: object) -> bool:
        return not is_confirmed(self.request)

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        methods = super().get_reauthentication_methods(user)
        if is_known_to_provider(user):
            said = _("Sign in again with %(name)s") % {"name": settings.OIDC_NAME}
            methods.append({"id": "provider", "description": said, "url": reverse("confirm_with_provider")})
        return methods

    # --- Signing in ---

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address of the connection, as django-axes counts it too. A connection over a Unix socket has none."""
        return request.META.get("REMOTE_ADDR") or "::"

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        remember_sign_in(request, (kwargs.get("signal_kwargs") or {}).get("sociallogin"))
        return super().post_login(request, user, **kwargs)

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Leaves out that somebody signed in or out, which everybody sees."""
        if message_template not in {"account/messages/logged_in.txt", "account/messages/logged_out.txt"}:
            super().add_message(request, level, message_template, *args, **kwargs)

    # --- Mail ---

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The link in the mail. Its host is the configured one, not the one that the request named."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.BASE_URL + path.replace("UID-KEY", quote(key))

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """Tells the person of a change to their account, at the address that administrators entered."""
        shown = {**(context or {}), "base_url": settings.BASE_URL, "name": user.get_username()}
        super().send_notification_mail(template_prefix, user, shown, email or user.email)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        message = self.render_mail(template_prefix, email, {"email": email, **context})
        # In a thread of its own: an answer that waits for the mail server would tell which addresses have an account.
        Thread(target=_send, args=(message,), name="mail").start()


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except OSError:  # also smtplib's errors
        logger.exception("Mail could not be sent. Check EMAIL_URL.")
