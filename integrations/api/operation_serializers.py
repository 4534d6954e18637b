"""Serializers of a partner's operation, with the field names of the API contract."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile, File
from rest_framework import serializers

from changes.api.exceptions import TooLarge, Unavailable
from changes.api.fields import GroupNameField, IdentifierField, LineField, OneOfField, StrictSerializer, TextField
from changes.api.serializers import LINE_MAX_LENGTH, ChangeWriteSerializer
from changes.choices import Phase, Visibility
from changes.files.scanning import NotScanned
from changes.models import SupportGroup
from changes.validators import (
    TEXT_MAX_LENGTH,
    validate_attachment,
    validate_content_type,
    validate_file_name,
    validate_web_address,
)
from integrations.choices import IncomingKind, IncomingStatus
from integrations.incoming import IncomingRequest
from integrations.models import ExternalSystem
from integrations.outgoing.external_groups import group_named

MOST_ADDITIONS = 100


class ExternalGroupNameField(GroupNameField):
    def find(self, name: str) -> SupportGroup | None:
        return group_named(name)


class PropertiesSerializer(ChangeWriteSerializer):
    """The writable fields of a change, and its phase, which may be at most one transition away."""

    title = LineField(required=False, max_length=LINE_MAX_LENGTH)
    owning_group = ExternalGroupNameField(required=False, allow_null=True)
    phase = OneOfField(Phase.choices, required=False)


class SentCommentSerializer(StrictSerializer):
    body = TextField(max_length=TEXT_MAX_LENGTH)
    visibility = OneOfField(Visibility.choices, required=False, default=Visibility.PUBLIC.value)
    author = LineField(required=False, allow_blank=True, default="", max_length=200)


class SentAttachmentSerializer(StrictSerializer):
    file_name = TextField(max_length=255, validators=[validate_file_name])
    content_type = TextField(
        required=False, default="application/octet-stream", max_length=100, validators=[validate_content_type]
    )
    content_base64 = TextField(allow_blank=True)  # the validator below refuses an empty file, with a clearer error

    def validate_content_base64(self, text: str) -> File[bytes]:
        limit = settings.ATTACHMENT_MAX_BYTES
        if len(text) // 4 * 3 > limit + 2:
            raise TooLarge(f"An attachment is too large: at most {limit} bytes are taken.")
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise serializers.ValidationError("Not base64: encode the file as RFC 4648 section 4 says.") from error
        if len(content) > limit:
            raise TooLarge(f"An attachment has {len(content)} bytes; at most {limit} are taken.")
        file = ContentFile(content, name="content")
        try:
            validate_attachment(file)
        except NotScanned as error:
            raise Unavailable(error.messages[0], error.code) from error
        return file


class OriginSerializer(StrictSerializer):
    system_id = IdentifierField(max_length=255)
    operation_id = IdentifierField(max_length=255)


class OperationSerializer(StrictSerializer):
    """One incoming operation."""

    system_id = IdentifierField(max_length=100)
    operation = OneOfField(IncomingKind.choices)
    external_id = IdentifierField(required=False, max_length=255)
    external_url = TextField(required=False, allow_blank=True, max_length=1000, validators=[validate_web_address])
    external_status = LineField(required=False, allow_blank=True, max_length=200)
    change_number = IdentifierField(required=False, max_length=22)
    properties = PropertiesSerializer(required=False)
    comments = SentCommentSerializer(many=True, required=False, max_length=MOST_ADDITIONS)  # type: ignore[call-arg]
    attachments = SentAttachmentSerializer(many=True, required=False, max_length=MOST_ADDITIONS)  # type: ignore[call-arg]
    origin = OriginSerializer(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        errors = {}
        operation = attrs["operation"]
        properties = attrs.get("properties", {})
        if operation == IncomingKind.CREATE:
            if "external_id" not in attrs:
                errors["external_id"] = "Create needs your record's id."
            if "change_number" in attrs:
                errors["change_number"] = "Leave the number out: Create makes a new change."
            if "title" not in properties:
                errors["properties.title"] = "Create needs a title."
            if properties.get("phase", Phase.LOG) != Phase.LOG:
                errors["properties.phase"] = "Leave the phase out: a change starts in Log. Send an Update to move it."
        elif "external_id" not in attrs and "change_number" not in attrs:
            errors["external_id"] = f"{operation} needs external_id or change_number."
        if properties and operation not in (IncomingKind.CREATE, IncomingKind.UPDATE):
            errors["properties"] = "Only Create and Update take properties."
        if errors:
            raise serializers.ValidationError(errors)
        return attrs


# One serializer for all threads: building its fields takes ten times as long as validating, and `run_validation()` does
# not change them.
_OPERATION = OperationSerializer()
_ = _OPERATION.fields


def valid_request(body: Mapping[str, Any], system: ExternalSystem) -> IncomingRequest:
    """Validates a body for `incoming.receive()`. Raises ValidationError, which names every wrong field."""
    fields = _OPERATION.run_validation(body)
    return IncomingRequest(
        system=system,
        operation=IncomingKind(fields["operation"]),
        external_id=fields.get("external_id", ""),
        external_url=fields.get("external_url"),
        external_status=fields.get("external_status"),
        change_number=fields.get("change_number", ""),
        properties=fields.get("properties", {}),
        comments=tuple(fields.get("comments", ())),
        attachments=tuple(
            {"file": sent["content_base64"], **{name: sent[name] for name in ("file_name", "content_type")}}
            for sent in fields.get("attachments", ())
        ),
        origin=fields.get("origin"),
    )


class OperationAnswerSerializer(serializers.Serializer):
    """The answer to an operation that was applied or ignored."""

    id = serializers.UUIDField()
    operation = OneOfField(IncomingKind.choices)
    status = OneOfField([(value, value) for value in (IncomingStatus.APPLIED.value, IncomingStatus.IGNORED.value)])
    change = serializers.DictField(allow_null=True, help_text="The change as it is now.")
    external_reference = serializers.DictField(allow_null=True)
