"""The API calls about changes, for staff. The calls for partners are in integrations/api/."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile
from django.http import FileResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from changes import workflow
from changes.actor import signed_in
from changes.models import Addition, Approval, Attachment, Change, Comment
from changes.models.holding import holding
from changes.models.prepared import prepared
from changes.queries.keyset import Column
from changes.queries.orders import ORDERS
from changes.queries.querysets import ChangeQuerySet
from changes.texts.file_names import disposition, sent_name

from .filters import REPEATABLE, ChangeFilter
from .negotiation import AnyMediaType
from .pagination import KeysetPagination, OnePage
from .parsers import check_has_length
from .permissions import StaffAccess, require
from .preconditions import check_if_match, etag, is_known
from .serializers import (
    ApprovalSerializer,
    ApprovalWriteSerializer,
    AttachmentSerializer,
    ChangeSerializer,
    ChangeWriteSerializer,
    CommentSerializer,
    CommentWriteSerializer,
    TransitionSerializer,
    TransitionWriteSerializer,
    UploadSerializer,
    created_by,
)
from .uploads import UploadParser, media_type_of, safe_media_type, uploaded_file

logger = logging.getLogger(__name__)

CAN_CHANGE = "changes.change_change"
IF_MATCH = OpenApiParameter(
    "If-Match", location="header", description="The ETag of the change as you read it. Only its version is compared."
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", location="header", description="The ETag that you have.")
ETAG = OpenApiParameter(
    "ETag",
    location="header",
    description='`"<version>-<digest>"`. It differs whenever the answer differs.',
    response=[200, 201],
)


class ApiView(GenericAPIView):
    """The base of all calls: permissions, known query parameters, and the changes that the caller may see."""

    permission_classes = [StaffAccess]
    http_method_names = ["get", "head", "post", "patch"]
    filter_backends: list[Any] = []
    pagination_class: Any = None
    orders: Mapping[str, tuple[Column, ...]] = {}
    default_ordering = ""
    query_parameters: frozenset[str] = frozenset()
    write_permissions: tuple[str, ...] = (CAN_CHANGE,)
    write_serializer_class: Any = None
    summaries: Mapping[str, str] = {}
    # Passed to a search, to limit it to what the caller may see; None for staff. See changes/queries/search.py.
    viewer: Any = None

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        check_has_length(request)
        self._check_parameters(request)

    def _check_parameters(self, request: Request) -> None:
        """Raises ValidationError for unknown and repeated parameters, which would silently be ignored otherwise."""
        known = self.query_parameters if request.method in {"GET", "HEAD"} else frozenset()
        errors = {}
        for name, values in request.query_params.lists():
            if name not in known:
                text = f"There is no such parameter here. Known: {', '.join(sorted(known)) or 'none'}."
                errors[name] = [ErrorDetail(text, code="unknown_parameter")]
            elif len(values) > 1 and name not in REPEATABLE:
                errors[name] = [ErrorDetail("This parameter is given more than once.", code="repeated")]
        if errors:
            raise ValidationError(errors)

    def changes(self) -> ChangeQuerySet:
        """The changes that the caller may see."""
        return Change.objects.visible_to(self.request.user)

    def get_change(self) -> Change:
        return get_object_or_404(self.changes(), number=self.kwargs["number"])

    def validated(self, request: Request, **options: object) -> Any:
        serializer = self.write_serializer_class(data=request.data, **options)
        serializer.is_valid(raise_exception=True)
        return serializer


class ListView(ApiView):
    """A call whose `GET` answers with a page of the view's queryset."""

    lists = True
    creates = True
    pagination_class = KeysetPagination
    query_parameters = frozenset({"cursor", "limit"})

    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class ChangeAnswers(ApiView):
    """Calls that answer with one change and its ETag."""

    serializer_class = ChangeSerializer

    def load_related(self, changes: list[Change]) -> None:
        """For subclasses: loads what the answer contains besides the change's own columns."""

    def answer(self, change: Change, status_code: int = status.HTTP_200_OK, **headers: str) -> Response:
        self.load_related([change])
        data = self.get_serializer(change).data
        return Response(data, status_code, headers={"ETag": etag(change, data), **headers})

    def locked_change(self, request: Request) -> Change:
        """The change under its row lock, so that nobody alters it between reading and saving. Checks If-Match."""
        change = get_object_or_404(self.changes().locked(), number=self.kwargs["number"])
        check_if_match(request, change)
        return change


class ChangeListView(ListView, ChangeAnswers):
    summaries = {"GET": "Changes that you see", "POST": "Create a change (staff)"}
    filter_backends = ApiView.settings.DEFAULT_FILTER_BACKENDS
    filterset_class = ChangeFilter
    orders = ORDERS
    default_ordering = "-number"
    query_parameters = ListView.query_parameters | {"ordering", *ChangeFilter.base_filters}
    write_permissions = ("changes.add_change",)
    write_serializer_class = ChangeWriteSerializer

    def get_queryset(self) -> QuerySet[Change]:
        return self.changes().with_people()

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        self.load_related(page or [])
        return page

    @extend_schema(parameters=[ETAG])
    def post(self, request: Request) -> Response:
        serializer = self.validated(request)
        change = created_by(signed_in(request), serializer)
        change.save()
        location = request.build_absolute_uri(reverse("api:change", args=[change.number]))
        return self.answer(change, status.HTTP_201_CREATED, Location=location)


class ChangeView(ChangeAnswers):
    summaries = {"GET": "One change", "PATCH": "Edit a change (staff)"}
    is_conditional = True
    problems = {"PATCH": (409, 412)}
    write_serializer_class = ChangeWriteSerializer

    @extend_schema(parameters=[IF_NONE_MATCH, ETAG])
    def get(self, request: Request, number: str) -> Response:
        answer = self.answer(get_object_or_404(self.changes().with_people(), number=number))
        if is_known(request, answer["ETag"]):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": answer["ETag"]})
        return answer

    @extend_schema(parameters=[IF_MATCH, ETAG])
    def patch(self, request: Request, number: str) -> Response:
        self.get_change()
        # The body is read before the row is locked: a slow caller must not hold the lock.
        serializer = self.validated(request, partial=True)
        with transaction.atomic():
            change = self.locked_change(request)
            serializer.set_on(change)
            change.save()
        return self.answer(change)


class TransitionsView(ChangeAnswers):
    summaries = {
        "GET": "Possible transitions with their unmet conditions",
        "POST": "Make a transition (staff)",
    }
    lists = True
    pagination_class = OnePage
    problems = {"POST": (409, 412, 422)}
    write_permissions = (CAN_CHANGE, "changes.abandon_change")
    write_serializer_class = TransitionWriteSerializer

    @extend_schema(responses=TransitionSerializer(many=True))
    def get(self, request: Request, number: str) -> Response:
        change = self.get_change()
        transitions = [
            {"phase": target, "metaphase": target.metaphase, "unmet_conditions": workflow.unmet(change, target)}
            for target in workflow.targets(change.change_type, change.phase)
        ]
        return self.get_paginated_response(TransitionSerializer(transitions, many=True).data)

    @extend_schema(parameters=[IF_MATCH, ETAG])
    def post(self, request: Request, number: str) -> Response:
        self.get_change()
        target = self.validated(request).validated_data["phase"]
        require(request.user, workflow.permission(target))
        with transaction.atomic():
            change = self.locked_change(request)
            change.move_to(target)
            change.save()
        return self.answer(change)


class AdditionsView(ListView):
    """Lists the additions of one kind to a change, oldest first, and adds one."""

    additions = ""

    def get_queryset(self) -> QuerySet[Any]:
        return getattr(self.get_change(), self.additions).select_related("author")

    def validated(self, request: Request, **options: object) -> Any:
        try:
            return super().validated(request, **options)
        except ValidationError:
            self.get_change()  # for an unknown change, 404 comes before errors in the body
            raise

    def add(self, make: Callable[[Change], Addition]) -> Response:
        """Saves the addition that `make` returns, and answers with it.

        Callers must read the body before, so that a slow client does not hold the lock.
        """
        with prepared(), transaction.atomic():
            change = get_object_or_404(self.changes().locked(), number=self.kwargs["number"])
            addition = make(change)
            with holding(change):
                addition.save()
        return Response(self.get_serializer(addition).data, status.HTTP_201_CREATED)


class ApprovalsView(AdditionsView):
    summaries = {"GET": "Approvals of the current round", "POST": "Approve or deny the plan (staff)"}
    additions = "approvals"
    serializer_class = ApprovalSerializer
    write_serializer_class = ApprovalWriteSerializer
    write_permissions = ("changes.approve_change",)
    problems = {"POST": (409, 412)}

    def get_queryset(self) -> QuerySet[Approval]:
        """The approvals of the current round."""
        change = self.get_change()
        return change.approvals.filter(round=change.approval_round).select_related("author")

    @extend_schema(parameters=[IF_MATCH])
    def post(self, request: Request, number: str) -> Response:
        """With If-Match, decides only on the plan as the caller has read it."""
        written = self.validated(request).validated_data

        def make(change: Change) -> Approval:
            check_if_match(request, change)
            return Approval(change=change, author=signed_in(request), **written)

        return self.add(make)


class CommentsView(AdditionsView):
    summaries = {"GET": "Comments of a change", "POST": "Add a comment (staff)"}
    additions = "comments"
    serializer_class = CommentSerializer
    write_serializer_class = CommentWriteSerializer
    write_permissions = ("changes.add_comment",)

    def post(self, request: Request, number: str) -> Response:
        written = self.validated(request).validated_data
        return self.add(lambda change: Comment(change=change, author=signed_in(request), **written))


class AttachmentsView(AdditionsView):
    summaries = {"GET": "Attachments of a change", "POST": "Add an attachment (staff)"}
    additions = "attachments"
    serializer_class = AttachmentSerializer
    write_serializer_class = UploadSerializer
    write_permissions = ("changes.add_attachment",)
    parser_classes = [UploadParser]

    def post(self, request: Request, number: str) -> Response:
        self.get_change()
        file = uploaded_file(request.data, request.FILES)
        added: list[Attachment] = []

        def make(change: Change) -> Attachment:
            name, kind = sent_name(file), media_type_of(file)
            added.append(
                Attachment(change=change, author=signed_in(request), file=file, file_name=name, content_type=kind)
            )
            return added[0]

        try:
            return self.add(make)
        except BaseException:
            # The rollback removes the row, but not the file.
            for attachment in added:
                attachment.discard_file()
            raise


class AttachmentContentView(ApiView):
    summaries = {"GET": "The file of an attachment"}
    content_negotiation_class = AnyMediaType

    def attachments(self) -> QuerySet[Attachment]:
        return Attachment.objects.filter(change__in=self.changes())

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> FileResponse:
        attachment = get_object_or_404(self.attachments(), pk=pk)
        return file_answer(attachment.file, attachment.shown_name, attachment.content_type)


def file_answer(stored: FieldFile, name: str, content_type: str) -> FileResponse:
    """A stored file, only to be saved. Raises NotFound if it is missing."""
    try:
        file = stored.open("rb")
    except FileNotFoundError as error:
        logger.error("The file of %r is missing: %s", stored.instance, stored.name)
        raise NotFound("The file is missing on the server. The administrator's log says which.") from error
    response = FileResponse(file, as_attachment=True, content_type=safe_media_type(content_type))
    response["Content-Disposition"] = disposition("attachment", name)
    # If a browser shows the uploaded file instead of saving it, its content can run nothing.
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    return response
