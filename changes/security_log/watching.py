"""Records what saves and deletions of a model changed, on whichever way they came: page, admin, API, command, shell.

What changed is told by comparing with what the database holds just before the save.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete, pre_save

from .wording import CHANGED

# Attribute of an instance that is being saved: the stored values of the watched fields; absent if none is saved.
_STORED = "_security_log_stored"

# The old and the new value of each changed field. Foreign keys are keys.
Changed = Mapping[str, tuple[Any, Any]]


def _ignore(*args: object) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """What is recorded of a model. `fields` are attribute names, as in `authorized_user_id`."""

    model: type[Model]
    fields: Collection[str] = ()
    created: Callable[[Any], None] = _ignore
    changed: Callable[[Any, Changed], None] = _ignore
    deleted: Callable[[Any], None] = _ignore
    secrets: Collection[str] = field(default=())

    def connect(self) -> None:
        name = f"security_log.{self.model._meta.label_lower}"
        options: dict[str, Any] = {"sender": self.model, "weak": False}
        pre_save.connect(self._before, dispatch_uid=f"{name}.before", **options)
        post_save.connect(self._after, dispatch_uid=f"{name}.after", **options)
        # Before, in the same transaction: what is not loaded of the record can still be read.
        pre_delete.connect(self._deleted, dispatch_uid=f"{name}.deleted", **options)

    def _before(self, instance: Model, raw: bool, update_fields: Collection[str] | None, **kwargs: object) -> None:
        instance.__dict__.pop(_STORED, None)
        if raw or instance._state.adding:
            return
        names = [name for name in self.fields if update_fields is None or self._is_among(name, update_fields)]
        if not names:
            return
        rows = self.model._default_manager.filter(pk=instance.pk)
        if connection.in_atomic_block:
            rows = rows.select_for_update(no_key=True)  # as the save itself will
        stored = rows.values(*names).first()
        if stored is not None:
            setattr(instance, _STORED, stored)

    def _is_among(self, name: str, saved: Collection[str]) -> bool:
        field: Any = next(each for each in self.model._meta.concrete_fields if each.attname == name)
        return name in saved or field.name in saved

    def _after(self, instance: Model, created: bool, raw: bool, **kwargs: object) -> None:
        if raw:
            return
        stored = instance.__dict__.pop(_STORED, None)
        if created:
            self.created(instance)
        elif stored:
            changed = {
                name: (old, getattr(instance, name)) for name, old in stored.items() if old != getattr(instance, name)
            }
            if changed:
                self.changed(instance, changed)

    def _deleted(self, instance: Model, **kwargs: object) -> None:
        self.deleted(instance)

    def told(self, changed: Changed) -> dict[str, Any]:
        """The changed fields for the details of an event. Of a secret only that it changed."""
        return {name: CHANGED if name in self.secrets else [*values] for name, values in changed.items()}
