"""The admin of change records: all fields that staff may write, under the same rules as elsewhere.

Transitions are made on the pages, not here.
"""

from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.html import escape
from django.utils.translation import gettext_lazy as _

from changes import audit
from changes.actor import signed_in
from changes.choices import Phase
from changes.files.scanning import scan
from changes.models import Addition, Approval, Attachment, Change, Comment
from changes.pages import rounds
from changes.pages.conversation.forms import CommentForm
from changes.pages.fields import Minute

from .forms import AttachmentForm, ChangeForm
from .readonly import PlainChoices, ShownOnly

HISTORY_LIMIT = 100


class AdditionFormSet(BaseInlineFormSet):
    """Forms for new rows only. The template shows the rows in `existing`, and they are not posted back."""

    model: type[Comment | Attachment | Approval]

    def get_queryset(self) -> QuerySet[Any]:
        return self.model._default_manager.none()

    @property
    def existing(self) -> QuerySet[Any]:
        return self.model._default_manager.filter(change=self.instance).select_related("author", "change")


class AdditionInline(admin.StackedInline):
    """Additions to a change, which nobody can edit or delete."""

    formset = AdditionFormSet
    extra = 1

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class CommentInline(AdditionInline):
    model = Comment
    form = CommentForm
    verbose_name_plural = _("new comments")
    fields = ("body", "visibility")
    template = "admin/changes/comments.html"


class AttachmentInline(AdditionInline):
    model = Attachment
    form = AttachmentForm
    verbose_name_plural = _("new attachments")
    fields = ("file",)
    template = "admin/changes/attachments.html"


class ApprovalInline(ShownOnly, AdditionInline):
    model = Approval
    fields = ("decision",)
    template = "admin/changes/approvals.html"


@admin.register(Change)
class ChangeAdmin(PlainChoices, admin.ModelAdmin):
    form = ChangeForm
    inlines = (ApprovalInline, CommentInline, AttachmentInline)
    takes_files = True
    list_display = (
        "number",
        "title",
        "change_type",
        "phase",
        "priority",
        "owning_group",
        "requested_by",
        "completion_code",
        "updated_at",
    )
    list_display_links = ("number", "title")
    list_filter = ("phase", "change_type", "priority", "completion_code", "owning_group")
    list_select_related = ("owning_group", "requested_by")
    search_fields = ("number", "title", "description", "service", "category")
    show_full_result_count = False
    formfield_overrides = {models.DateTimeField: {"form_class": Minute, "widget": Minute.widget}}
    readonly_fields = ("number", "phase", "metaphase", "priority", "version", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("number", ("phase", "metaphase"), "priority", ("version", "created_at", "updated_at"))}),
        (_("What and why"), {"fields": ("title", "description", "change_type", "category", "service", "reason")}),
        (_("Weight"), {"fields": ("justification", "risk", "business_impact", "urgency")}),
        (_("Who"), {"fields": ("requested_by", "owning_group")}),
        (
            _("Plan"),
            {"fields": ("implementation_plan", "backout_plan", "planned_start", "planned_end")},
        ),
        (_("Result"), {"fields": ("actual_start", "actual_end", "completion_code")}),
    )

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return queryset.find(search_term), False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        if self.has_change_permission(request):
            for file in request.FILES.values():
                # Django holds a transaction while it checks the forms, and a scan takes seconds. What it finds is
                # remembered for that check.
                with suppress(ValidationError):
                    scan(file)
        return super().changeform_view(request, object_id, form_url, extra_context)

    # --- What may be edited ---

    def get_fieldsets(self, request: HttpRequest, obj: Change | None = None) -> Any:
        head, *rest = super().get_fieldsets(request, obj)
        if obj is None:
            return rest
        if not self.has_change_permission(request, obj):
            return [head, *rest]
        # The template does not escape a description.
        said = escape(rounds.warning(obj))
        return [(None, {"fields": (*head[1]["fields"], "opened_version"), "description": said}), *rest]

    def get_readonly_fields(self, request: HttpRequest, obj: Change | None = None) -> Any:
        fixed = super().get_readonly_fields(request, obj)
        if obj is None or obj.phase == Phase.LOG:
            return fixed
        if obj.is_final:
            return (*fixed, *(field for field in Change.TRACKED_FIELDS if field not in fixed))
        # The requester may not approve the change, so the requester is fixed before there is a plan.
        return (*fixed, "change_type", "requested_by")

    def has_delete_permission(self, request: HttpRequest, obj: Change | None = None) -> bool:
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"requested_by": request.user.pk, **super().get_changeform_initial_data(request)}

    def get_inlines(self, request: HttpRequest, obj: Change | None = None) -> Any:
        return self.inlines if obj is not None else ()

    # --- Saving ---

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Change | None:
        change = super().get_object(request, object_id, from_field)
        if change is None or request.method != "POST" or not transaction.get_connection().in_atomic_block:
            return change
        # A lock, so that nobody else saves the record between the form's checks and the save.
        return Change.objects.locked().get(pk=change.pk)

    def save_model(self, request: HttpRequest, obj: Change, form: Any, change: bool) -> None:
        round_before = obj.approval_round
        super().save_model(request, obj, form, change)
        if said := rounds.notice(obj, round_before):
            self.message_user(request, said, messages.WARNING)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        kept: list[Attachment] = []
        try:
            for addition in formset.new_objects:
                self._add(request, addition)
                if isinstance(addition, Attachment):
                    kept.append(addition)
        except Exception:
            # The rollback removes the rows, but not the files.
            for attachment in kept:
                attachment.discard_file()
            raise

    def _add(self, request: HttpRequest, addition: Addition) -> None:
        addition.author = signed_in(request)
        addition.save()

    # --- Showing ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> Any:
        return super().change_view(request, object_id, form_url, {"title": _("Change record"), **(extra_context or {})})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows the record's own history instead of the admin's log: it has every save, on whichever way it came."""
        change = self.get_object(request, object_id)
        context: dict[str, Any] = {"limit": HISTORY_LIMIT}
        if change is not None and self.has_view_or_change_permission(request, change):
            context["saves"] = audit.saves(change, HISTORY_LIMIT)
        return super().history_view(request, object_id, {**context, **(extra_context or {})})

    @admin.display(description=_("metaphase"))
    def metaphase(self, change: Change) -> str:
        return str(Phase(change.phase).metaphase.label)
