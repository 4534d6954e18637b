"""The payload of an operation, as JSON values. Pure: reads loaded objects only, never the database.

A change looks the same here as in the REST API (changes/api/serializers.py). Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from changes.texts.timestamps import timestamp

if TYPE_CHECKING:
    from changes.models import Attachment, Change, Comment, FieldChange
    from integrations.models import ExternalReference


def _moment(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, datetime):
        return timestamp(value)
    if hasattr(value, "get_username"):
        return value.get_username()
    return str(value)


def operation(
    change: Change,
    references: Iterable[ExternalReference],
    changed_fields: Mapping[str, Any] | None,
    comment: Comment | None,
    attachment: Attachment | None,
    base_url: str,
) -> dict[str, Any]:
    """What is recorded with an operation: the change after the event, and the event itself (fields, comment, file)."""
    return {
        "change": change_snapshot(change, references),
        "changed_fields": dict(changed_fields or {}),
        "comment": comment_snapshot(comment) if comment else None,
        "attachment": attachment_snapshot(attachment, base_url) if attachment else None,
    }


def change_snapshot(change: Change, references: Iterable[ExternalReference] = ()) -> dict[str, Any]:
    """The change as it is now. `references`: only those that the receiver may see."""
    return {
        "number": change.number,
        "title": change.title,
        "description": change.description,
        "change_type": str(change.change_type),
        "phase": str(change.phase),
        "metaphase": change.metaphase,
        "category": change.category,
        "service": change.service,
        "reason": change.reason,
        "justification": change.justification,
        "risk": _plain(change.risk),
        "business_impact": str(change.business_impact),
        "urgency": str(change.urgency),
        "priority": str(change.priority),
        "completion_code": _plain(change.completion_code),
        "owning_group": _plain(change.owning_group),
        "requested_by": _plain(change.requested_by),
        "implementation_plan": change.implementation_plan,
        "backout_plan": change.backout_plan,
        "planned_start": _moment(change.planned_start),
        "planned_end": _moment(change.planned_end),
        "actual_start": _moment(change.actual_start),
        "actual_end": _moment(change.actual_end),
        "created_at": _moment(change.created_at),
        "updated_at": _moment(change.updated_at),
        "version": change.version,
        "approval_round": change.approval_round,
        "external_references": [reference_snapshot(reference) for reference in references],
    }


def changed_fields(fields: Mapping[str, FieldChange]) -> dict[str, dict[str, Any]]:
    return {name: {"old": _plain(change.old), "new": _plain(change.new)} for name, change in fields.items()}


def reference_snapshot(reference: ExternalReference) -> dict[str, Any]:
    return {
        "system_id": reference.system.system_id,
        "external_id": reference.external_id,
        "external_url": reference.external_url,
        "external_status": reference.external_status,
        "updated_at": timestamp(reference.updated_at),
    }


def comment_snapshot(comment: Comment) -> dict[str, Any]:
    return {
        "id": comment.pk,
        "body": comment.body,
        "author": comment.author_label,
        "created_at": timestamp(comment.created_at),
    }


def attachment_snapshot(attachment: Attachment, base_url: str) -> dict[str, Any]:
    return {
        "id": attachment.pk,
        "file_name": attachment.file_name,
        "content_type": attachment.content_type,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "url": f"{base_url}/api/v1/attachments/{attachment.pk}/content/",
    }
