"""Model fields of the exchange: a partner's record id, JSON with its member order, and a text encrypted at rest."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from changes.protection import cipher


class IdentifierField(models.CharField):
    """The id of a record in the partner's system, stored and compared in Unicode's NFC."""

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def to_python(self, value: object) -> Any:
        value = super().to_python(value)
        return unicodedata.normalize("NFC", value) if isinstance(value, str) else value

    def get_prep_value(self, value: object) -> Any:
        return self.to_python(super().get_prep_value(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class JSONTextField(models.TextField):
    """JSON stored as text, because PostgreSQL's jsonb does not keep the order of members.

    With the order kept, a repeated answer is the same to the byte, and a person reads a message as the partner does.
    """

    # For the type checker: the attribute holds any JSON value, not a str as in TextField.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def get_prep_value(self, value: object) -> Any:
        return value if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def from_db_value(self, value: str | None, expression: object, connection: BaseDatabaseWrapper) -> Any:
        return value if value is None else json.loads(value)

    def to_python(self, value: object) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""


_BEGINNING = "gAAAA"  # the first characters of every Fernet token: its version, and the zeros before its time


class Undecryptable(str):
    """A secret that was encrypted with a key that is missing now. Saving it writes the stored token back unchanged."""

    token: str

    def __new__(cls, token: str) -> Undecryptable:
        text = super().__new__(cls, "(cannot be decrypted)")
        text.token = token
        return text


class EncryptedTextField(models.TextField):
    """A secret, encrypted with the first of FIELD_ENCRYPTION_KEYS.

    The attribute is plain text; the database holds a Fernet token, or an empty text. A token that cannot be decrypted
    is read as `Undecryptable`, so that only what needs this secret fails. `dumpdata` writes tokens, which `loaddata`
    reads with the same keys.
    """

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def to_python(self, value: object) -> Any:
        text = super().to_python(value)
        return self._decrypted(text) if text and text.startswith(_BEGINNING) else text

    def get_prep_value(self, value: object) -> Any:
        if isinstance(value, Undecryptable):
            return value.token
        secret = super().get_prep_value(value)
        return cipher.encrypt(secret) if secret else secret

    def from_db_value(self, value: str | None, expression: object, connection: BaseDatabaseWrapper) -> str | None:
        return self._decrypted(value) if value else value

    def _decrypted(self, token: str) -> str:
        try:
            return cipher.decrypt(token)
        except cipher.InvalidToken:
            return Undecryptable(token)
