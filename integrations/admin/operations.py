"""Operations in both directions, as they are. What a person decides about an outgoing one: retry now, or skip."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.admin.readonly import ReadOnlyAdmin, ShownOnly
from integrations.choices import Operation
from integrations.models import DeliveryAttempt, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox
from integrations.standing.status import SECRETS

from .forms import SkipForm
from .too_many import are_too_many

HOW_TO_SKIP_MORE = _(
    "Filter the list to fewer. To skip all that waits for a system, disable it: enabling it again offers that."
)


def pretty(value: Any) -> SafeString | str:
    if value is None:
        return "-"
    return format_html('<pre class="payload">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


class DeliveryAttemptInline(ShownOnly, admin.TabularInline):
    model = DeliveryAttempt
    fields = ("started_at", "seconds", "http_status", "answer", "error", "note")
    readonly_fields = ("seconds",)
    verbose_name_plural = _("attempts")
    template = "admin/integrations/attempts.html"

    @admin.display(description=_("seconds"))
    def seconds(self, attempt: DeliveryAttempt) -> str:
        return f"{attempt.duration:.3f}"


class ForSystemAdmin(ReadOnlyAdmin):
    """A list of operations, found by system, operation, status, date, and number of the change."""

    search_fields = ("change__number",)
    heavy: tuple[str, ...] = ("payload",)
    related: tuple[str, ...] = ("change", "system")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        operations = super().get_queryset(request).select_related(*self.related)
        return operations.defer(*self.heavy, *(f"system__{secret}" for secret in SECRETS))

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
    actions = ("retry_now", "skip")
    change_form_template = "admin/integrations/outgoingoperation/change_form.html"
    fieldsets = (
        (None, {"fields": ("id", "change", "system", "sequence", "operation", "cause", "created_at")}),
        (_("State"), {"fields": ("status", "tries", "next_try_at", "last_error", "settled_at")}),
        (_("Skipped"), {"fields": ("skipped_by", "skip_reason")}),
        (_("Payload"), {"fields": ("pretty_payload",)}),
    )

    @admin.display(description=_("as recorded"))
    def pretty_payload(self, operation: OutgoingOperation) -> SafeString | str:
        return pretty(operation.payload)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.retry_outgoingoperation")

    def has_skip_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.skip_outgoingoperation")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        operation = self.get_object(request, object_id)
        is_open = operation is not None and not operation.is_settled
        context = {
            "may_retry": is_open and self.has_retry_permission(request),
            "may_skip": is_open and self.has_skip_permission(request),
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    # --- Actions ---

    @admin.action(description=_("Retry now"), permissions=["retry"])
    def retry_now(self, request: HttpRequest, operations: QuerySet[OutgoingOperation]) -> HttpResponse | None:
        retried = self._each(request, operations, outbox.retry_now)
        flowing = sum(operation.system.is_flowing for operation in retried)
        if flowing:
            text = gettext("To be sent as soon as it is their turn: %(count)s.") % {"count": flowing}
            self.message_user(request, text, messages.SUCCESS)
        held = Counter(operation.system for operation in retried if not operation.system.is_flowing)
        for system, count in held.items():
            text = gettext("To be sent once %(system)s is enabled, which is disabled now: %(count)s.")
            if system.enabled:
                text = gettext("To be sent once %(system)s is resumed, which is paused now: %(count)s.")
            self.message_user(request, text % {"system": system, "count": count}, messages.WARNING)
        return self._back_to(operations)

    @admin.action(description=_("Skip with a reason"), permissions=["skip"])
    def skip(self, request: HttpRequest, operations: QuerySet[OutgoingOperation]) -> HttpResponse | None:
        """Asks for the reason, and with an Assign that was not delivered, what becomes of those behind it."""
        if are_too_many(self, request, operations, HOW_TO_SKIP_MORE):
            return None
        form = SkipForm(request.POST if "reason" in request.POST else None)
        behind = self._behind(operations)
        if not form.is_valid():
            return self._ask_for_reason(request, operations, behind, form)
        reason = form.cleaned_data["reason"]
        shown_until = form.cleaned_data["shown_until"]
        with transaction.atomic():
            chosen = self._each(request, operations, lambda operation: outbox.skip(operation, request.user, reason))
            skipped = len(chosen)
            if form.cleaned_data["and_behind"]:
                shown = [operation for operation in behind if operation.created_at <= shown_until]
                skipped += outbox.skip_all(shown, request.user, reason)
        if skipped:
            text = gettext("Skipped operations: %(count)s.") % {"count": skipped}
            self.message_user(request, text, messages.SUCCESS)
        return self._back_to(operations)

    def _each(
        self,
        request: HttpRequest,
        operations: Iterable[OutgoingOperation],
        decide: Callable[[OutgoingOperation], None],
    ) -> list[OutgoingOperation]:
        done = []
        with transaction.atomic():
            for operation in operations:
                try:
                    decide(operation)
                except outbox.NotOpen as refusal:
                    self.message_user(request, str(refusal), messages.WARNING)
                else:
                    self.log_change(request, operation, f"{operation.status}. {operation.skip_reason}".strip())
                    done.append(operation)
        return done

    def _behind(self, operations: QuerySet[OutgoingOperation]) -> list[OutgoingOperation]:
        """What waits behind the Assigns among `operations` that were not delivered, besides those themselves."""
        chosen = {operation.pk for operation in operations}
        found: dict[Any, OutgoingOperation] = {}
        for assign in operations:
            if assign.operation == Operation.ASSIGN and not assign.is_settled:
                waiting = outbox.waiting_behind(assign).select_related("system").defer("payload")
                found.update({operation.pk: operation for operation in waiting if operation.pk not in chosen})
        return [*found.values()]

    def _ask_for_reason(
        self,
        request: HttpRequest,
        operations: QuerySet[OutgoingOperation],
        behind: list[OutgoingOperation],
        form: SkipForm,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Skip operations"),
            "opts": self.opts,
            "operations": operations,
            "behind": behind,
            "shown_until": max(operation.created_at for operation in behind).isoformat() if behind else "",
            "form": form,
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/integrations/outgoingoperation/skip.html", context)

    def _back_to(self, operations: QuerySet[OutgoingOperation]) -> HttpResponse | None:
        """A single operation is shown again; for several the list is."""
        if len(operations) != 1:
            return None
        return redirect("admin:integrations_outgoingoperation_change", operations[0].pk)


@admin.register(IncomingOperation)
class IncomingOperationAdmin(ForSystemAdmin):
    list_display = ("received_at", "system", "user", "operation", "number", "status", "http_status", "error")
    list_filter = ("status", "system", "operation", "received_at")
    ordering = ("-received_at", "-id")
    date_hierarchy = "received_at"
    heavy = ("payload", "result")
    related = ("change", "system", "user")
    fieldsets = (
        (None, {"fields": ("id", "system", "user", "operation", "change", "received_at")}),
        (_("What came of it"), {"fields": ("status", "http_status", "error", "pretty_result")}),
        (_("Repeats and loops"), {"fields": ("idempotency_key", "origin_system_id", "origin_operation_id")}),
        (_("Payload"), {"fields": ("pretty_payload",)}),
    )

    @admin.display(description=_("as it came"))
    def pretty_payload(self, operation: IncomingOperation) -> SafeString | str:
        return pretty(operation.payload)

    @admin.display(description=_("answer"))
    def pretty_result(self, operation: IncomingOperation) -> SafeString | str:
        return pretty(operation.result)
