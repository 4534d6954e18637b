"""All that names a person, in one object."""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.db.models import Field, Model, Q
from knox.models import AuthToken

from changes.models import SecurityEvent
from integrations.fields import EncryptedTextField
from integrations.models import SmaxToken

from .tries import names_of, tries_of

# Secrets of the person. They prove who somebody is, and are of no use to read.
SECRETS: dict[type[Model], set[str]] = {
    User: {"password"},
    Authenticator: {"data"},
    AuthToken: {"digest"},
    SmaxToken: {"digest"},
    UserSession: {"session_key"},
}


def data_of(user: User) -> dict[str, Any]:
    """Each kind of record under the name of its model and the field that names the person."""
    found: dict[str, Any] = {"account": _values(user), "roles": [group.name for group in user.groups.all()]}
    for relation in User._meta.get_fields(include_hidden=True):
        if not ((relation.auto_created and relation.one_to_many) or relation.one_to_one) or relation.concrete:
            continue
        model, field = relation.related_model, relation.field  # type: ignore[union-attr]
        rows = model._default_manager.filter(**{field.attname: user.pk}).order_by("pk")  # type: ignore[union-attr]
        if rows.exists():
            found[f"{model._meta.label_lower}.{field.name}"] = [_values(row) for row in rows]  # type: ignore[union-attr]
    about = Q(object_type="auth.user", object_id=str(user.pk))
    events = SecurityEvent.objects.filter(Q(actor_id=user.pk) | about).order_by("id")
    found["security_events"] = [_values(event) for event in events]
    for tries in tries_of(names_of(user)):
        if tries.exists():
            found[tries.model._meta.label_lower] = [_values(row) for row in tries]
    return found


def _values(row: Model) -> dict[str, Any]:
    hidden = SECRETS.get(type(row), set())
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.attname not in hidden and not _is_secret(field)
    }


def _is_secret(field: Field[Any, Any]) -> bool:
    return isinstance(field, EncryptedTextField)
