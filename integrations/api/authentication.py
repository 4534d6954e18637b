"""API authentication by `Authorization: Bearer <token>`. Tokens are stored hashed; they may expire or be revoked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from changes.api.on_hold import OnHold
from changes.api.throttling import address_of, count_failure, refuse_many_failures
from integrations.models import ExternalSystem
from integrations.statements import partner_of_token, token_with_user
from integrations.tokens.life import is_expired
from integrations.tokens.naming import token_name
from integrations.tokens.use import note_use

if TYPE_CHECKING:
    from rest_framework.request import Request


class BearerAuthentication(TokenAuthentication):
    """Finds the token by its digest, which is the key. One query; knox would load all of the user's fields too.

    For a view with `is_for_partners`, `request.auth` is a `PartnerCaller` instead of the token.
    """

    def authenticate(self, request: Request) -> Any:
        self.is_for_partners = getattr(request.parser_context.get("view"), "is_for_partners", False)
        self.address = address_of(request)
        try:
            found = super().authenticate(request)
        except AuthenticationFailed:
            # Only now: whoever has a valid token at this address is not stopped by others who have none.
            refuse_many_failures(request)
            count_failure(request)
            raise
        if found is None:
            refuse_many_failures(request)
            count_failure(request)
        else:
            request.token_digest = self.digest  # type: ignore[attr-defined] # for the rate limit
        return found

    def authenticate_credentials(self, token: bytes) -> Any:
        # A token consists of ASCII letters and digits. knox would raise an error on bytes that it cannot decode.
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        self.digest = hash_token(token.decode())
        return self.caller(self.digest)

    def caller(self, digest: str) -> Any:
        """The user, and the token with this digest or the `PartnerCaller`. Raises AuthenticationFailed."""
        if self.is_for_partners:
            token, systems = partner_of_token(digest)
            checked = self.check(token)
            return checked.user, PartnerCaller(systems, token_name(checked))
        checked = self.check(token_with_user(digest))
        return checked.user, checked

    def check(self, token: Any) -> AuthToken:
        """The token, whose use is noted. One that has expired is removed; the security log says so.

        Raises OnHold for a partner, if this is a restored copy that waits.
        """
        if token is not None and is_expired(token):
            token.delete()
            token = None
        if token is None:
            raise AuthenticationFailed("Invalid token.")
        self.validate_user(token)
        if token.is_held and not token.user.is_staff:
            raise OnHold
        try:
            note_use(token, token.life_used_at, token.life_key is None, self.address)
        except IntegrityError as error:  # revoked since it was read
            raise AuthenticationFailed("Invalid token.") from error
        return token


@dataclass(frozen=True)
class PartnerCaller:
    """The systems whose authorized user called, and the name of the token."""

    systems: list[ExternalSystem]
    token: str


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    match_subclasses = True
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
