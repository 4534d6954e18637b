"""The secrets of mapped systems: written by a person, read only to make a call."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from changes.security_log.recording import Subject, record
from integrations.fields import Undecryptable
from integrations.models import ConnectionSecret, ConnectionToken, ExternalSystem, SecretUnreadable
from integrations.outgoing import outbox


@sensitive_variables("values", "value")
def write(system: ExternalSystem, values: Mapping[str, str]) -> list[str]:
    """Writes these secrets; an empty value removes one. Returns the names of those that changed.

    What was refused with the old ones is tried again: a token is forgotten, and a pause ends.
    """
    changed = []
    with transaction.atomic():
        present = {row.name: row for row in ConnectionSecret.objects.filter(system=system)}
        for name, value in values.items():
            row = present.get(name)
            if not value and row:
                row.delete()
            elif value and (row is None or row.value != value):
                row = row or ConnectionSecret(system=system, name=name)
                row.value, row.written_at = value, timezone.now()
                row.full_clean()
                row.save()
            else:
                continue
            changed.append(name)
        if changed:
            record("connection_secret_written", Subject.of(system), {"names": ", ".join(changed)})
            forget_token(system)
            outbox.resume(system)
    return changed


def forget_token(system: ExternalSystem) -> None:
    """Also one that is asked for now: its number is not the next any more."""
    ConnectionToken.objects.filter(system=system).update(
        value="", number=F("number") + 1, expires_at=None, renewing_until=None
    )


@sensitive_variables("found")
def secrets_of(systems: Collection[int]) -> dict[int, dict[str, str]]:
    """The secrets by name, of each of these systems."""
    found: dict[int, dict[str, str]] = {pk: {} for pk in systems}
    for row in ConnectionSecret.objects.filter(system__in=systems):
        found[row.system_id][row.name] = row.value
    return found


@sensitive_variables("secrets")
def check_readable(system: ExternalSystem, secrets: Mapping[str, str], needed: Collection[str]) -> None:
    """Raises SecretUnreadable if one that the document names cannot be decrypted."""
    unreadable = [name for name in needed if isinstance(secrets.get(name), Undecryptable)]
    if unreadable:
        raise SecretUnreadable(
            f"The secrets {', '.join(sorted(unreadable))} of {system} cannot be decrypted: their key is missing. "
            "Add the former key to FIELD_ENCRYPTION_KEYS (or SECRET_KEY_FALLBACKS), or write the secrets anew."
        )
