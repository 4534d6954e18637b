"""The API views of changes, extended with external references and with reading for partners.

A partner sees only the changes that it may reach, its own references to them, and no private comments. Each view
starts from what the caller may see, so that no search, filter or page can reveal anything else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django_filters import CharFilter
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from changes.api import views
from changes.api.fields import TimestampField
from changes.api.filters import ChangeFilter
from changes.api.serializers import ApprovalSerializer, ChangeSerializer
from changes.choices import Visibility
from changes.models import Change, Comment
from changes.queries.orders import ORDERS
from changes.queries.querysets import ChangeQuerySet
from integrations.access import reachable, shown_activity
from integrations.models import ExternalReference, ExternalSystem
from integrations.standing.relation import Relation, related

from .partner_uploads import attach
from .permissions import StaffOrPartner


class ExternalReferenceSerializer(serializers.Serializer):
    system_id = serializers.CharField(source="system.system_id", read_only=True)
    external_id = serializers.CharField(read_only=True)
    external_url = serializers.CharField(read_only=True)
    external_status = serializers.CharField(read_only=True)
    updated_at = TimestampField(read_only=True)


class ExchangedChangeSerializer(ChangeSerializer):
    """A change with its external references. A partner sees only its own."""

    # Filled by the views with what the caller may see, so the serializer cannot reveal other references.
    external_references = ExternalReferenceSerializer(source="visible_references", many=True, read_only=True)

    class Meta:
        ref_name = "Change"


class PartnerApprovalSerializer(ApprovalSerializer):
    """An approval as a partner sees it: the decision without its comment, which is for staff only."""

    comment = serializers.SerializerMethodField()  # type: ignore[assignment]

    def get_comment(self, approval: object) -> str:
        return ""

    class Meta:
        ref_name = "Approval"


class PartnerView(views.ApiView):
    """Opens a view to partners, limited to what they may see. `partner`: the caller's systems, None for staff."""

    permission_classes = [StaffOrPartner]
    partner: list[ExternalSystem] | None = None

    @property
    def viewer(self) -> Any:
        return self.partner

    def changes(self) -> ChangeQuerySet:
        return super().changes() if self.partner is None else reachable(self.partner)


class ExchangedAnswers(PartnerView, views.ChangeAnswers):
    serializer_class = ExchangedChangeSerializer

    def visible_references(self) -> Prefetch:
        references = ExternalReference.objects.select_related("system")
        if self.partner is not None:
            references = references.filter(system__in=self.partner)
        return Prefetch("external_references", references, to_attr="visible_references")

    def load_related(self, changes: list[Change]) -> None:
        prefetch_related_objects(changes, self.visible_references())
        if self.partner is not None:
            rows = Change.objects.filter(pk__in=[change.pk for change in changes]).order_by()
            shown = dict(rows.values_list("pk", shown_activity(self.partner)))
            for change in changes:
                change.last_activity_at = shown[change.pk]


class ExchangedChangeFilter(ChangeFilter):
    """Also by what belongs to partners. A partner finds its own only; what is another's is as unknown to it."""

    external_id = CharFilter(method="of_reference", max_length=255, help_text="The id of a partner's record.")
    system_id = CharFilter(method="of_system", max_length=100, help_text="A system that the change is linked to.")

    @property
    def partner(self) -> list[ExternalSystem] | None:
        return cast("PartnerView", self.request.parser_context["view"]).partner

    def of_reference(self, queryset: ChangeQuerySet, name: str, external_id: str) -> ChangeQuerySet:
        references = ExternalReference.objects.filter(external_id=external_id)
        if self.partner is not None:
            references = references.filter(system__in=self.partner)
        return queryset.filter(pk__in=references.order_by().values("change"))

    def of_system(self, queryset: ChangeQuerySet, name: str, system_id: str) -> ChangeQuerySet:
        systems = ExternalSystem.objects.filter(system_id=system_id)
        if self.partner is not None:
            systems = systems.filter(pk__in=[system.pk for system in self.partner])
        key = systems.values_list("pk", flat=True).first()
        return queryset.none() if key is None else related(queryset, Relation.LINKED, key)

    def active_since(self, queryset: ChangeQuerySet, name: str, moment: datetime) -> ChangeQuerySet:
        if self.partner is None:
            return super().active_since(queryset, name, moment)
        return queryset.alias(shown_activity=shown_activity(self.partner)).filter(shown_activity__gte=moment)


class ChangeListView(ExchangedAnswers, views.ChangeListView):
    filterset_class = ExchangedChangeFilter

    query_parameters = views.ChangeListView.query_parameters | {*ExchangedChangeFilter.base_filters}

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if self.partner is not None:
            # It would tell when a private comment was added.
            self.orders = {name: order for name, order in ORDERS.items() if name != "last_activity_at"}


class ChangeView(ExchangedAnswers, views.ChangeView):
    pass


class TransitionsView(ExchangedAnswers, views.TransitionsView):
    pass


class ApprovalsView(PartnerView, views.ApprovalsView):
    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return super().get_serializer_class() if self.partner is None else PartnerApprovalSerializer


class CommentsView(PartnerView, views.CommentsView):
    def get_queryset(self) -> QuerySet[Comment]:
        comments = super().get_queryset()
        return comments if self.partner is None else comments.filter(visibility=Visibility.PUBLIC)


class AttachmentsView(PartnerView, views.AttachmentsView):
    """A partner's file arrives as an incoming Update: see partner_uploads.py."""

    summaries = {"GET": "Attachments of a change", "POST": "Add an attachment"}
    partners_write = True
    problems = {"POST": (409,)}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                description="Partners only. As for operations: a repeat gets the first answer again.",
            )
        ]
    )
    def post(self, request: Request, number: str) -> Response:
        if self.partner is None:
            return super().post(request, number)
        attachment, is_repeat = attach(request, number, self.partner, self.get_change)
        headers = {"Idempotent-Replayed": "true"} if is_repeat else {}
        return Response(self.get_serializer(attachment).data, status.HTTP_201_CREATED, headers=headers)


class AttachmentContentView(PartnerView, views.AttachmentContentView):
    pass
