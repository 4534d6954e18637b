"""Signal receivers: record the operations of a saved change, comment or attachment in the transaction of the save.

This is the only module that listens to the models' signals. `apps.ready()` connects it. The models wrap `save()` in a
transaction under the change's row lock, so the cause and its operations commit together.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save

from changes.models import Attachment, Change, Comment, FieldChange
from integrations import rules

from . import outbox, payloads
from .external_groups import system_of


def change_saved(sender: Any, instance: Change, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if raw or not rules.matters(instance.changed_fields):
        return
    owner_now = system_of(instance.owning_group) if created else None
    if created and owner_now is None:
        return  # a new change can only be linked through its owning group
    if instance.is_partly_saved:
        # Values that were only set in memory, not saved, must reach neither the rules nor the partner.
        instance, changed_fields = Change.objects.get(pk=instance.pk), instance.changed_fields
        instance.changed_fields = changed_fields
    withdrawn = rules.is_withdrawn_by(instance.changed_fields)
    owner = instance.changed_fields.get("owning_group") or FieldChange(instance.owning_group, instance.owning_group)
    context = outbox.context_of_new(instance, owner_now) if owner_now else outbox.context_of(instance)
    before = system_of(owner.old)
    generated = rules.on_saved(before.system_id if before else None, withdrawn, context.situation)
    outbox.record(context, generated, payloads.changed_fields(instance.changed_fields))


def comment_added(sender: Any, instance: Comment, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if raw or not created or instance.is_private:
        return
    context = outbox.context_of(instance.change)
    outbox.record(context, rules.on_added(context.situation), comment=instance)


def attachment_added(sender: Any, instance: Attachment, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if raw or not created:
        return
    context = outbox.context_of(instance.change)
    outbox.record(context, rules.on_added(context.situation), attachment=instance)


def connect() -> None:
    post_save.connect(change_saved, sender=Change, dispatch_uid="integrations.change_saved")
    post_save.connect(comment_added, sender=Comment, dispatch_uid="integrations.comment_added")
    post_save.connect(attachment_added, sender=Attachment, dispatch_uid="integrations.attachment_added")
