"""Read-only admin of the operations in both directions. To retry or skip one, use its page in the exchange log."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import Media
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from changes.admin.readonly import ReadOnlyAdmin, ShownOnly
from integrations.json_text import Shown
from integrations.models import DeliveryAttempt, IncomingOperation, OutgoingOperation


def pretty(value: object, address: str) -> SafeString | str:
    if value is None:
        return "-"
    shown = Shown.of(value)
    text = format_html('<pre class="payload" dir="auto">{}</pre>', shown.text)
    if not shown.is_cut:
        return text
    said, rest = _("The first 64 kB are shown."), _("Download all of it")
    return format_html('{}<p>{} <a href="{}" download>{}</a></p>', text, said, address, rest)


def _file(operation: OutgoingOperation | IncomingOperation, part: str) -> str:
    return reverse("exchange:file", args=[operation.pk, part])


class DeliveryAttemptInline(ShownOnly, admin.TabularInline):
    model = DeliveryAttempt
    fields = ("started_at", "seconds", "http_status", "confirmation", "failure", "answer", "error", "note")
    readonly_fields = ("seconds",)
    verbose_name_plural = _("attempts")
    template = "admin/integrations/attempts.html"
    media = Media()  # its scripts are for rows that are added

    @admin.display(description=_("seconds"))
    def seconds(self, attempt: DeliveryAttempt) -> str:
        return f"{attempt.duration:.3f}"


class ForSystemAdmin(ReadOnlyAdmin):
    """Base of the lists of operations. `heavy`: fields not loaded for the list. `related`: relations loaded with it."""

    search_fields: ClassVar[Any] = ("change__number",)
    heavy: tuple[str, ...] = ("payload",)
    related: tuple[str, ...] = ("change",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        operations: Any = super().get_queryset(request)
        return operations.with_system(*self.related).defer(*self.heavy)

    @admin.display(description=_("change"), ordering="change")
    def number(self, operation: Any) -> str:
        return operation.change.number if operation.change else "-"


@admin.register(OutgoingOperation)
class OutgoingOperationAdmin(ForSystemAdmin):
    list_display = ("created_at", "number", "system", "sequence", "operation", "status", "tries", "last_error")
    list_filter = ("status", "system", "operation", "created_at")
    ordering = ("-created_at", "-id")
    date_hierarchy = "created_at"
    inlines = (DeliveryAttemptInline,)
    change_form_template = "admin/integrations/outgoingoperation/change_form.html"
    fieldsets = (
        (None, {"fields": ("id", "change", "system", "sequence", "operation", "cause", "created_at")}),
        (
            _("State"),
            {
                "fields": (
                    "status",
                    "tries",
                    "next_try_at",
                    "last_failure",
                    "last_http_status",
                    "last_error",
                    "handed_out_at",
                    "settled_at",
                )
            },
        ),
        (_("Skipped"), {"fields": ("skipped_by", "skip_reason")}),
        (_("Payload"), {"fields": ("pretty_payload",)}),
    )

    @admin.display(description=_("as recorded"))
    def pretty_payload(self, operation: OutgoingOperation) -> SafeString | str:
        return pretty(operation.whole_payload, _file(operation, "payload"))


@admin.register(IncomingOperation)
class IncomingOperationAdmin(ForSystemAdmin):
    list_display = ("received_at", "system", "user", "token", "operation", "number", "status", "http_status", "error")
    search_fields = (*ForSystemAdmin.search_fields, "token")
    list_filter = ("status", "system", "operation", "received_at")
    ordering = ("-received_at", "-id")
    date_hierarchy = "received_at"
    heavy = ("payload", "result")
    related = ("change", "user")
    fieldsets = (
        (None, {"fields": ("id", "system", "user", "token", "operation", "change", "received_at")}),
        (_("Outcome"), {"fields": ("status", "http_status", "error", "note", "pretty_result")}),
        (_("Repeats and loops"), {"fields": ("idempotency_key", "origin_system_id", "origin_operation_id")}),
        (_("Payload"), {"fields": ("pretty_payload",)}),
    )

    @admin.display(description=_("as received"))
    def pretty_payload(self, operation: IncomingOperation) -> SafeString | str:
        return pretty(operation.payload, _file(operation, "payload"))

    @admin.display(description=_("answer"))
    def pretty_result(self, operation: IncomingOperation) -> SafeString | str:
        return pretty(operation.result, _file(operation, "result"))
