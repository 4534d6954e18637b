"""Which secrets the database has encrypted, and which key reads each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.db.models import Model, TextField
from django.db.models.functions import Cast

from changes.protection import cipher
from integrations.fields import EncryptedTextField


def fingerprint(key: cipher.Fernet) -> str:
    """Tells keys apart, and tells nothing of them."""
    material = b"casexchange key fingerprint" + key._signing_key + key._encryption_key
    return hashlib.sha256(material).hexdigest()[:16]


def fingerprints() -> list[str]:
    """Those of the keys of the environment."""
    return [fingerprint(key) for key in cipher.all_keys()]


def secrets(alias: str) -> dict[str, str]:
    """What is encrypted in that database, with the fingerprint of the key that reads it; "" if none does."""
    return {what: _reader(token) for what, token in _tokens(alias)}


def _reader(token: str) -> str:
    for key in cipher.all_keys():
        try:
            key.decrypt(token.encode())
        except cipher.InvalidToken:
            continue
        return fingerprint(key)
    return ""


def _tokens(alias: str) -> Iterator[tuple[str, str]]:
    for model in apps.get_models():
        fields = [field for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        if fields:
            yield from _of_model(model, fields, alias)
    for factor in Authenticator.objects.using(alias).select_related("user").order_by("pk"):
        for name in ("secret", "seed"):
            if name in factor.data:
                what = "authenticator app" if name == "secret" else "recovery codes"
                yield f"the {what} of {factor.user.get_username()}", factor.data[name]


def _of_model(model: type[Model], fields: list[EncryptedTextField], alias: str) -> Iterator[tuple[str, str]]:
    # As text, so that the field does not decrypt it.
    stored = {f"stored_{field.name}": Cast(field.name, TextField()) for field in fields}
    for row in model._default_manager.using(alias).annotate(**stored).order_by("pk"):
        for field in fields:
            if token := getattr(row, f"stored_{field.name}"):
                yield f"the {field.verbose_name} of {row} ({model._meta.verbose_name})", token
