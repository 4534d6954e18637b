"""Encrypts secrets that the database keeps, with keys derived from SECRET_KEY and SECRET_KEY_FALLBACKS."""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

__all__ = ["InvalidToken", "decrypt", "encrypt"]


def encrypt(text: str) -> str:
    return _cipher().encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises InvalidToken if it was encrypted with another key."""
    return _cipher().decrypt(token.encode()).decode()


def _cipher() -> MultiFernet:
    return _cipher_of(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=4)
def _cipher_of(*secrets: str) -> MultiFernet:
    def key(secret: str) -> Fernet:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"casexchange encrypted fields")
        return Fernet(base64.urlsafe_b64encode(derived.derive(secret.encode())))

    return MultiFernet([key(secret) for secret in secrets])
