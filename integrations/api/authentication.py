"""Who calls: `Authorization: Bearer <token>`, hashed in the database, which may expire and be revoked."""

from knox.auth import TokenAuthentication


class BearerAuthentication(TokenAuthentication):
    pass
