"""Encrypts secrets that the database keeps, with FIELD_ENCRYPTION_KEYS."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

__all__ = ["Fernet", "InvalidToken", "all_keys", "decrypt", "encrypt"]


def encrypt(text: str) -> str:
    """Encrypts with the first of the keys."""
    return MultiFernet(all_keys()).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises InvalidToken if it was encrypted with another key."""
    return MultiFernet(all_keys()).decrypt(token.encode()).decode()


def all_keys() -> list[Fernet]:
    """All that read; the first one encrypts.

    The ones of SECRET_KEY read what was stored before FIELD_ENCRYPTION_KEYS were set.
    """
    return [
        *map(_of_field_key, settings.FIELD_ENCRYPTION_KEYS),
        *map(_of_secret_key, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)),
    ]


_of_field_key: Callable[[str], Fernet] = lru_cache(maxsize=16)(Fernet)


@lru_cache(maxsize=16)
def _of_secret_key(secret: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"casexchange encrypted fields")
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret.encode())))
