"""The audit trail: one row for each save of a change, by django-simple-history."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from simple_history.models import HistoricalRecords

from changes.actor import current as current_actor


class SourcedHistory(models.Model):
    """A history record that also names the external system that the change came from."""

    source_system = models.CharField(max_length=100, null=True, editable=False)

    class Meta:
        abstract = True


class SourcedRecords(HistoricalRecords):
    """Says who did it, and for which external system: see changes/actor.py.

    Writes the same row as the library, whose own way takes longer than the INSERT: it makes a class for the manager,
    and calls receivers, for each row.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(bases=[SourcedHistory], cascade_delete_history=True, **options)

    def create_history_model(self, model: Any, inherited: bool) -> Any:
        self._model = super().create_history_model(model, inherited)
        for field in self._model._meta.local_fields:
            if field.remote_field:
                field.db_index = False  # it is read by change alone
        self._copied = [field.attname for field in self.fields_included(model)]
        return self._model

    def create_historical_record(self, instance: Any, history_type: str, using: str | None = None) -> None:
        actor = current_actor()
        values = {name: getattr(instance, name) for name in self._copied}
        record = self._model(
            history_date=getattr(instance, "_history_date", None) or timezone.now(),
            history_type=history_type,
            history_user=actor.user,
            source_system=actor.system_id,
            **values,
        )
        record.save(force_insert=True, using=using)
