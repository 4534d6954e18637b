"""The calls about comments and files of a change."""

from __future__ import annotations

import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.http import FileResponse
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api.parsers import read_limited
from changes.api.uploads import UploadParser, media_type_of
from changes.api.views import file_answer
from changes.choices import Visibility
from changes.models import Attachment, Comment
from changes.validators import made_visible
from integrations.access import reachable
from integrations.api.sent import pay, problem_of
from integrations.choices import IncomingKind
from integrations.incoming import OperationRefused
from integrations.models import ExternalSystem, SmaxUpload

from . import uploads
from .comments import created_time_of, same_comments
from .face import NOT_FOUND, FaceView
from .properties import id_of, milliseconds
from .records import change_of
from .write_views import write

FIELD = "files[]"
FILE_NAME = "Fs-Filename"


# --- Comments ---


class CommentsView(FaceView):
    """The public comments of a change as a bare list; adds one."""

    def get(self, request: Request, tenant: str, entity_type: str, record_id: str) -> Response:
        return Response(self.listed(entity_type, record_id))

    def listed(self, entity_type: str, record_id: str) -> list[dict[str, Any]]:
        self.registration_for(entity_type)
        change = change_of(self.systems, record_id)
        public = Comment.objects.filter(change=change, visibility=Visibility.PUBLIC)
        return [described(comment) for comment in public.select_related("author", "smax").order_by("pk")]

    def post(self, request: Request, tenant: str, entity_type: str, record_id: str) -> Response:
        self.registration_for(entity_type)
        change = change_of(self.systems, record_id)
        entity = {"entity_type": entity_type, "properties": {"Id": id_of(change.number)}, "Comments": [self.body]}
        [outcome] = write(request, [entity], IncomingKind.UPDATE)
        if outcome.error:
            raise outcome.error
        system = cast(ExternalSystem, outcome.sent.system)  # known, since it was applied
        created_time = created_time_of(self.body.get("CreatedTime"))
        added = same_comments(system, change, self.body["Body"], created_time)
        return Response(described(added.select_related("author", "smax").latest("pk")), HTTPStatus.CREATED)


class ListedCommentsView(CommentsView):
    """The same comments in an object."""

    http_method_names = ["get", "head"]

    def get(self, request: Request, tenant: str, entity_type: str, record_id: str) -> Response:
        return Response({"Comments": self.listed(entity_type, record_id)})


def described(comment: Comment) -> dict[str, Any]:
    """A comment in an answer. `IsSystem` is true for what came from a partner."""
    kept = getattr(comment, "smax", None)
    created = kept.created_time if kept else milliseconds(comment.created_at)
    return {
        "Id": str(comment.pk),
        "Body": comment.body,
        "CreatedTime": created,
        "CreateTime": created,
        "IsSystem": comment.source_system is not None,
        "PrivacyType": "PRIVATE" if comment.is_private else "PUBLIC",
        "Submitter": {"UserId": comment.author_label},
    }


# --- Files ---


class RawParser(BaseParser):
    """A file as the whole body, whatever its type. Its name is in a header."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles:
        content = read_limited(stream, parser_context or {}, settings.ATTACHMENT_MAX_BYTES)
        request = (parser_context or {})["request"]
        name = request.headers.get(FILE_NAME, "").encode("latin-1", "replace").decode("utf-8", "replace")
        kind = request.content_type or "application/octet-stream"
        file = InMemoryUploadedFile(io.BytesIO(content), FIELD, "upload", kind, len(content), None)
        file.sent_name = name  # type: ignore[attr-defined]
        return DataAndFiles({}, {FIELD: file})


class UploadView(FaceView):
    """Takes a file: as a form, or as the body itself if `takes_body`."""

    parser_classes = [UploadParser]

    def post(self, request: Request, tenant: str) -> Response:
        file = self._file(request)
        name = getattr(file, "sent_name", "")  # the parsers keep it, even an empty one
        uploads.check_name(name)
        media_type = media_type_of(file)
        uploads.check(file, FIELD)
        system = self.systems[0]
        pay(system, file.size or 0)
        try:
            upload = uploads.store(system, file, name, media_type)
        except OperationRefused as error:
            raise problem_of(error) from error
        return Response(
            {
                "success": True,
                "guid": str(upload.guid),
                "name": upload.file_name,
                "contentLength": upload.size,
                "contentType": upload.content_type,
                "creator": str(request.user.pk),
                "lastModified": milliseconds(upload.uploaded_at),
            }
        )

    @staticmethod
    def _file(request: Request) -> UploadedFile:
        files = request.FILES
        given = [files[name] for name in (FIELD, "files", "file") if name in files]
        if len(given) != 1:
            raise ValidationError({FIELD: [f"Give exactly one file, in the form field {FIELD}."]})
        return given[0]


class FileListView(UploadView):
    parser_classes = [UploadParser, RawParser]


class FileView(FaceView):
    """A file of a change that the caller reaches, or an upload of its own."""

    def get(self, request: Request, tenant: str, guid: str) -> FileResponse:
        file = self._found(UUID(guid))
        return file_answer(file.file, made_visible(file.file_name), file.content_type)

    def _found(self, guid: UUID) -> Any:
        upload = SmaxUpload.objects.filter(pk=guid).first()
        if upload is not None and upload.attachment_id is None:
            if upload.system_id in {system.pk for system in self.systems}:
                return upload
            raise NotFound(NOT_FOUND)
        key = upload.attachment_id if upload and upload.attachment_id else guid.int
        attachment = Attachment.objects.filter(pk=key).first() if key <= uploads.LARGEST_KEY else None
        if attachment is None or not reachable(self.systems).filter(pk=attachment.change_id).exists():
            raise NotFound(NOT_FOUND)
        return attachment
