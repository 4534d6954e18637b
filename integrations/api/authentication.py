"""Who calls: `Authorization: Bearer <token>`, hashed in the database, which may expire and be revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from integrations.models import ExternalSystem
from integrations.prepared import prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class BearerAuthentication(TokenAuthentication):
    """Finds the token by its digest, which is the key: one query, where the library reads all of the user's too."""

    def authenticate_credentials(self, token: bytes) -> Any:
        # A token is of ASCII letters and digits; the library fails on what it cannot decode.
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return self.caller(hash_token(token.decode()))

    def caller(self, digest: str) -> Any:
        """The user and the token. Raises AuthenticationFailed."""
        token = AuthToken.objects.select_related("user").filter(digest=digest).first()
        self.check(token)
        return token.user, token

    def check(self, token: AuthToken | None) -> None:
        if token is not None and token.expiry is not None and token.expiry < timezone.now():
            token.delete()
            token = None
        if token is None:
            raise AuthenticationFailed("Invalid token.")
        self.validate_user(token)


# Written out, it takes a fifth of the time that the ORM needs for the token and the system, one after the other.
_PARTNER = """
SELECT t.digest, t.user_id, t.expiry, u.username, u.is_active,
    s.id AS system_key, s.system_id AS system_id, s.enabled AS system_enabled
FROM knox_authtoken t
JOIN auth_user u ON u.id = t.user_id
LEFT JOIN integrations_externalsystem s ON s.authorized_user_id = u.id
WHERE t.digest = %s
"""


class PartnerAuthentication(BearerAuthentication):
    """Where partners send operations: `request.auth` is a list of the systems that the user speaks for."""

    def caller(self, digest: str) -> tuple[User, list[ExternalSystem]]:
        with prepared():
            rows: list[Any] = list(AuthToken.objects.raw(_PARTNER, [digest]))
        token = rows[0] if rows else None
        if token is not None:
            token.user = _partly(
                get_user_model(), id=token.user_id, username=token.username, is_active=bool(token.is_active)
            )
        self.check(token)
        return rows[0].user, [_system(row, rows[0].user) for row in rows if row.system_key is not None]


def _system(row: Any, user: User) -> ExternalSystem:
    system = _partly(
        ExternalSystem,
        id=row.system_key,
        system_id=row.system_id,
        authorized_user_id=user.pk,
        enabled=bool(row.system_enabled),
    )
    system.authorized_user = user
    return system


def _partly(model: type[Model], **values: Any) -> Any:
    """As if read with `only()`: the rest is read when somebody asks for it. Takes the values in the fields' order."""
    return model.from_db(DEFAULT_DB_ALIAS, [*values], [*values.values()])


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    match_subclasses = True
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
