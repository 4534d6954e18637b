"""Serializers of a change and its additions. The payloads of the exchange use the same format."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse
from rest_framework import serializers

from changes.choices import (
    ChangeType,
    CompletionCode,
    Decision,
    Impact,
    Metaphase,
    Phase,
    Priority,
    Risk,
    Urgency,
    Visibility,
)
from changes.models import Attachment, Change
from changes.validators import TEXT_MAX_LENGTH

from .fields import GroupNameField, LineField, OneOfField, StrictSerializer, TextField, TimestampField

LINE_MAX_LENGTH = 200


def _line() -> LineField:
    return LineField(required=False, allow_blank=True, max_length=LINE_MAX_LENGTH)


def _text() -> TextField:
    return TextField(required=False, allow_blank=True, max_length=TEXT_MAX_LENGTH)


def _moment() -> TimestampField:
    return TimestampField(required=False, allow_null=True)


class ChangeWriteSerializer(StrictSerializer):
    """The writable fields of a change. Only the title is required, and with `partial=True` no field is."""

    title = LineField(max_length=LINE_MAX_LENGTH)
    description = _text()
    change_type = OneOfField(ChangeType.choices, required=False)
    category = _line()
    service = _line()
    reason = _text()
    justification = _text()
    risk = OneOfField(Risk.choices, required=False, allow_null=True)
    business_impact = OneOfField(Impact.choices, required=False)
    urgency = OneOfField(Urgency.choices, required=False)
    implementation_plan = _text()
    backout_plan = _text()
    planned_start = _moment()
    planned_end = _moment()
    actual_start = _moment()
    actual_end = _moment()
    completion_code = OneOfField(CompletionCode.choices, required=False, allow_null=True)
    owning_group = GroupNameField(required=False, allow_null=True)

    def explain_unknown(self, name: str, known: str) -> str:
        if name == "phase":
            return "A transition sets the phase: POST it to the change's transitions/."
        return super().explain_unknown(name, known)

    def set_on(self, change: Change) -> None:
        """Sets the validated fields on `change`, without saving it."""
        for name in Change.WRITABLE_FIELDS:
            if name in self.validated_data:
                setattr(change, name, self.validated_data[name])


class ChangeSerializer(serializers.Serializer):
    """A change in an answer."""

    number = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    description = serializers.CharField(read_only=True)
    change_type = OneOfField(ChangeType.choices, read_only=True)
    phase = OneOfField(Phase.choices, read_only=True)
    metaphase = OneOfField(Metaphase.choices, read_only=True)
    category = serializers.CharField(read_only=True)
    service = serializers.CharField(read_only=True)
    reason = serializers.CharField(read_only=True)
    justification = serializers.CharField(read_only=True)
    risk = OneOfField(Risk.choices, read_only=True, allow_null=True)
    business_impact = OneOfField(Impact.choices, read_only=True)
    urgency = OneOfField(Urgency.choices, read_only=True)
    priority = OneOfField(Priority.choices, read_only=True)
    completion_code = OneOfField(CompletionCode.choices, read_only=True, allow_null=True)
    owning_group = GroupNameField(read_only=True, allow_null=True)
    requested_by = serializers.CharField(source="requested_by.username", read_only=True, allow_null=True, default=None)
    implementation_plan = serializers.CharField(read_only=True)
    backout_plan = serializers.CharField(read_only=True)
    planned_start = TimestampField(read_only=True, allow_null=True)
    planned_end = TimestampField(read_only=True, allow_null=True)
    actual_start = TimestampField(read_only=True, allow_null=True)
    actual_end = TimestampField(read_only=True, allow_null=True)
    created_at = TimestampField(read_only=True)
    updated_at = TimestampField(read_only=True)
    last_activity_at = TimestampField(read_only=True)
    version = serializers.IntegerField(read_only=True)
    approval_round = serializers.IntegerField(read_only=True)


class CommentSerializer(serializers.Serializer):
    """A comment in an answer. `system_id` names the external system that it came from; null for our own."""

    id = serializers.IntegerField(read_only=True)
    body = serializers.CharField(read_only=True)
    visibility = OneOfField(Visibility.choices, read_only=True)
    author = serializers.CharField(source="author_label", read_only=True)
    system_id = serializers.CharField(source="source_system", read_only=True, allow_null=True)
    created_at = TimestampField(read_only=True)


class CommentWriteSerializer(StrictSerializer):
    body = TextField(max_length=TEXT_MAX_LENGTH)
    visibility = OneOfField(Visibility.choices, required=False, default=Visibility.PUBLIC.value)


class AttachmentSerializer(serializers.Serializer):
    """The metadata of an attachment. `url` is the address of the file."""

    id = serializers.IntegerField(read_only=True)
    file_name = serializers.CharField(read_only=True)
    content_type = serializers.CharField(read_only=True)
    size = serializers.IntegerField(read_only=True, help_text="Bytes.")
    sha256 = serializers.CharField(read_only=True)
    url = serializers.SerializerMethodField()
    author = serializers.CharField(source="author_label", read_only=True)
    system_id = serializers.CharField(source="source_system", read_only=True, allow_null=True)
    created_at = TimestampField(read_only=True)

    def get_url(self, attachment: Attachment) -> str:
        return settings.BASE_URL + reverse("api:attachment-content", args=[attachment.pk])


class UploadSerializer(serializers.Serializer):
    """The form for a new attachment, for the API's description only: uploads.py reads the form."""

    file = serializers.FileField()


class ApprovalSerializer(serializers.Serializer):
    """One person's decision on the plan."""

    id = serializers.IntegerField(read_only=True)
    round = serializers.IntegerField(read_only=True)
    decision = OneOfField(Decision.choices, read_only=True)
    comment = serializers.CharField(read_only=True)
    approver = serializers.CharField(source="author_label", read_only=True)
    created_at = TimestampField(read_only=True)


class ApprovalWriteSerializer(StrictSerializer):
    decision = OneOfField(Decision.choices)
    comment = TextField(required=False, allow_blank=True, default="", max_length=TEXT_MAX_LENGTH)


class TransitionWriteSerializer(StrictSerializer):
    phase = OneOfField(Phase.choices)


class UnmetSerializer(serializers.Serializer):
    field = serializers.CharField(read_only=True)
    message = serializers.CharField(read_only=True)


class TransitionSerializer(serializers.Serializer):
    """A transition from the current phase, with its unmet conditions."""

    phase = OneOfField(Phase.choices, read_only=True)
    metaphase = OneOfField(Metaphase.choices, read_only=True)
    unmet_conditions = UnmetSerializer(many=True, read_only=True)


def created_by(user: User, serializer: ChangeWriteSerializer) -> Change:
    """A new change requested by `user`, not saved yet."""
    change = Change(requested_by=user)
    serializer.set_on(change)
    return change
