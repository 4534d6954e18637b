"""Who calls: `Authorization: Bearer <token>`, hashed in the database, which may expire and be revoked."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed


class BearerAuthentication(TokenAuthentication):
    def authenticate_credentials(self, token: bytes) -> Any:
        """By the digest, which is the key: one query, where the library reads all tokens of the user too."""
        # A token is of ASCII letters and digits; the library fails on what it cannot decode.
        found = (
            AuthToken.objects.select_related("user").filter(digest=hash_token(token.decode())).first()
            if token.isascii()
            else None
        )
        if found is None or self._is_over(found):
            raise AuthenticationFailed("Invalid token.")
        return self.validate_user(found)

    def _is_over(self, token: AuthToken) -> bool:
        """Whether it has expired; then it is removed."""
        if token.expiry is None or token.expiry >= timezone.now():
            return False
        token.delete()
        return True


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
