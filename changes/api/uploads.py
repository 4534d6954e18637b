"""Uploads as multipart/form-data. They are streamed, so a large file is never held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.parsers import DataAndFiles, MultiPartParser

from changes.files.scanning import NotScanned
from changes.models import Attachment
from changes.texts.file_names import NamedParts
from changes.validators import validate_attachment, validate_content_type, validate_file_name

from .exceptions import Unavailable
from .parsers import check_length, repeatable
from .problems import as_api_exception

FIELD = "file"
# Room for the boundaries and headers around the file.
FRAME_MAX_BYTES = 64 * 1024
DEFAULT_MEDIA_TYPE = "application/octet-stream"


class _Parts(NamedParts):
    def sanitize_file_name(self, name: str) -> str | None:
        """Refuses a file with an invalid name before receiving its content."""
        limit = Attachment._meta.get_field("file_name").max_length or 0
        if len(name) > limit:
            _refuse(f"The file name has {len(name)} characters; at most {limit} are taken.", "max_length")
        try:
            validate_file_name(name)
        except DjangoValidationError as error:
            _refuse(error.messages[0], error.code or "invalid")
        return super().sanitize_file_name(name)


class UploadParser(MultiPartParser):
    """Parses multipart/form-data, up to the size of the largest attachment and its headers."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles:
        context = parser_context or {}
        check_length(context, settings.ATTACHMENT_MAX_BYTES + FRAME_MAX_BYTES)
        request = context["request"]
        meta = {**request.META, "CONTENT_TYPE": media_type}
        try:
            body = repeatable(stream, context)
            parser = _Parts(meta, body, request.upload_handlers, context.get("encoding") or settings.DEFAULT_CHARSET)
            return DataAndFiles(*parser.parse())
        except MultiPartParserError as error:
            raise ParseError(f"Not multipart/form-data: {error}") from error


def uploaded_file(data: Any, files: Any) -> UploadedFile:
    """The one file of the form. Raises ValidationError unless the form has just one valid file and no other field."""
    unknown = sorted({*data, *files} - {FIELD})
    if unknown:
        message = f"There is no such field here. Known: {FIELD}."
        raise ValidationError({name: [ErrorDetail(message, "unknown_field")] for name in unknown[:20]})
    found = files.getlist(FIELD)
    if len(found) != 1 or len(data.getlist(FIELD)) != 1:
        _refuse(f"Give exactly one file, in the form field `{FIELD}`, with a file name in UTF-8.", "required")
    try:
        validate_attachment(found[0])
    except NotScanned as error:
        raise Unavailable(error.messages[0], error.code) from error
    except DjangoValidationError as error:
        raise as_api_exception(DjangoValidationError({FIELD: error})) from error
    return found[0]


def media_type_of(file: UploadedFile) -> str:
    """The file's content type from the form, without parameters. Raises ValidationError if it is not a media type."""
    name = (file.content_type or DEFAULT_MEDIA_TYPE).strip()
    limit = Attachment._meta.get_field("content_type").max_length or 0
    if len(name) > limit or not is_media_type(name):
        _refuse("The file's content type is not a media type: use one such as application/pdf.", "invalid_content_type")
    return name


def safe_media_type(name: str) -> str:
    """The content type to serve a stored file with. An invalid one, stored without this check, becomes the default."""
    return name if is_media_type(name) else DEFAULT_MEDIA_TYPE


def is_media_type(name: str) -> bool:
    try:
        validate_content_type(name)
    except DjangoValidationError:
        return False
    return True


def _refuse(message: str, code: str) -> Any:
    raise ValidationError({FIELD: [ErrorDetail(message, code=code)]})
