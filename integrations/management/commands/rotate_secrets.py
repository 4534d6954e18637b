"""python manage.py rotate_secrets"""

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model

from changes.pages.sign_in import second_factor
from changes.protection.cipher import InvalidToken
from changes.security_log.recording import record
from integrations.fields import EncryptedTextField, Undecryptable


class Command(BaseCommand):
    help = (
        "Encrypts all stored secrets with the first of FIELD_ENCRYPTION_KEYS, so that the other keys can be given up."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = [line for model in apps.get_models() for line in self._encrypted_fields(model)]
        unreadable += self._second_factors()
        for line in unreadable:
            self.stderr.write(f"Not decrypted: {line}")
        if unreadable:
            raise CommandError(
                f"{len(unreadable)} cannot be decrypted with the present keys. Add the former key to "
                "FIELD_ENCRYPTION_KEYS or SECRET_KEY_FALLBACKS and run this again, or set them anew."
            )
        record("secrets_encrypted")

    def _encrypted_fields(self, model: type[Model]) -> Iterator[str]:
        """Yields a line for each one that cannot be decrypted."""
        fields = [field for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        if not fields:
            return
        rows, count = model._default_manager, 0
        for pk in rows.order_by("pk").values_list("pk", flat=True):
            with transaction.atomic():
                row = rows.select_for_update().filter(pk=pk).first()
                if row is None:
                    continue  # deleted meanwhile
                values = {field.name: getattr(row, field.name) for field in fields}
                readable = {name: text for name, text in values.items() if not isinstance(text, Undecryptable)}
                row.save(update_fields=[*readable])
            count += sum(bool(text) for text in readable.values())
            yield from (f"{field.verbose_name} of {row}" for field in fields if field.name not in readable)
        self.stdout.write(f"Encrypted of {model._meta.verbose_name_plural}: {count}")

    def _second_factors(self) -> Iterator[str]:
        count = 0
        for pk, user, kind in Authenticator.objects.order_by("pk").values_list("pk", "user__username", "type"):
            try:
                count += second_factor.encrypt_again(pk)
            except InvalidToken:
                yield f"{Authenticator.Type(kind).label} of {user}"
        self.stdout.write(f"Encrypted of second factors: {count}")
