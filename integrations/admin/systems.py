"""External systems: how a partner is reached, its secrets, and whether operations flow to it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, DateTimeField, IntegerField, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import localize
from django.utils.timesince import timesince
from django.views.decorators.debug import sensitive_post_parameters

from .. import outbox
from ..choices import SETTLED, DeliveryStatus
from ..models import ExternalSystem, OutgoingOperation
from .forms import ExternalSystemForm
from .once import shown_once
from .protection import CountsWhatProtects
from .start import start_page

SECRETS = ("signing_secret", "previous_signing_secret")


def with_traffic(systems: QuerySet[ExternalSystem]) -> QuerySet[ExternalSystem]:
    """Adds how much waits for each system, since when, and when it last took something: one query for all."""
    operations = OutgoingOperation.objects.filter(system=OuterRef("pk")).order_by()
    waiting = operations.exclude(status__in=SETTLED).values("system")
    delivered = operations.filter(status=DeliveryStatus.DELIVERED).order_by("-settled_at")
    return systems.annotate(
        waiting_count=Coalesce(Subquery(waiting.annotate(n=Count("pk")).values("n"), IntegerField()), 0),
        oldest_waiting=Subquery(waiting.annotate(oldest=Min("created_at")).values("oldest"), DateTimeField()),
        last_delivered=Subquery(delivered.values("settled_at")[:1]),
    )


@admin.register(ExternalSystem)
class ExternalSystemAdmin(CountsWhatProtects, admin.ModelAdmin):
    form = ExternalSystemForm
    list_display = ("system_id", "description", "way", "enabled", "paused", "waiting", "oldest", "delivered")
    search_fields = ("system_id", "description")
    readonly_fields = ("paused", "waiting", "oldest", "delivered", "secret", "former_secret", "groups")
    fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user", "groups")}),
        ("Delivery", {"fields": ("delivery", "endpoint_url", "enabled", "paused")}),
        ("Traffic", {"fields": ("waiting", "oldest", "delivered")}),
        ("Signing", {"fields": ("secret", "former_secret")}),
    )
    add_fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user")}),
        ("Delivery", {"fields": ("delivery", "endpoint_url", "enabled")}),
        ("Signing", {"fields": ("new_signing_secret", "generate_secret")}),
    )
    entered_secrets = ("new_signing_secret", "generate_secret", "end_rotation")

    # --- What is shown ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExternalSystem]:
        return with_traffic(super().get_queryset(request)).defer(*SECRETS).prefetch_related("external_groups__group")

    def get_fieldsets(self, request: HttpRequest, obj: ExternalSystem | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        if not self.has_change_permission(request, obj):
            return self.fieldsets
        *rest, (title, signing) = self.fieldsets
        return [*rest, (title, {"fields": (*signing["fields"], *self.entered_secrets)})]

    def get_readonly_fields(self, request: HttpRequest, obj: ExternalSystem | None = None) -> Any:
        # The partner and the history of the changes name the system by it.
        return self.readonly_fields if obj is None else ("system_id", *self.readonly_fields)

    @admin.display(description="delivery", ordering="delivery")
    def way(self, system: ExternalSystem) -> str:
        return system.delivery

    @admin.display(description="paused")
    def paused(self, system: ExternalSystem) -> str:
        if system.paused_at is None:
            return "No"
        return f"Since {localize(timezone.localtime(system.paused_at))}: {system.pause_reason}"

    @admin.display(description="waiting operations", ordering="waiting_count")
    def waiting(self, system: Any) -> int:
        return system.waiting_count

    @admin.display(description="oldest waiting", ordering="oldest_waiting")
    def oldest(self, system: Any) -> str:
        return f"{timesince(system.oldest_waiting)} old" if system.oldest_waiting else "-"

    @admin.display(description="last delivered", ordering="last_delivered")
    def delivered(self, system: Any) -> str:
        return localize(timezone.localtime(system.last_delivered)) if system.last_delivered else "Never"

    @admin.display(description="signing secret")
    def secret(self, system: ExternalSystem) -> str:
        return "Set" if system.signing_secret else "Not set: operations are sent unsigned"

    @admin.display(description="former signing secret")
    def former_secret(self, system: ExternalSystem) -> str:
        return "Set: a rotation goes on, both sign" if system.previous_signing_secret else "Not set"

    @admin.display(description="external groups")
    def groups(self, system: ExternalSystem) -> str:
        return ", ".join(str(external.group) for external in system.external_groups.all()) or "-"

    # --- Saving ---

    @method_decorator(sensitive_post_parameters("new_signing_secret"))
    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(*args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: ExternalSystemForm, change: bool) -> None:
        secrets = form.replace_secrets()
        obj.new_secret = obj.signing_secret if form.cleaned_data.get("generate_secret") else None
        if not change:
            obj.save()
            return
        enabling = "enabled" in form.changed_data and obj.enabled
        obj.is_held_back = enabling and outbox.unsettled(obj).exists()
        if obj.is_held_back:
            form.changed_data.remove("enabled")
        # Only what was edited: a worker may pause the system meanwhile.
        obj.save(
            update_fields=[*(name for name in form.changed_data if name in ExternalSystemForm.Meta.fields), *secrets]
        )
        if enabling and not obj.is_held_back:
            outbox.wake_on_commit()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        return self._with_secret(request, obj, response)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        response = super().response_change(request, obj)
        if obj.is_held_back:
            text = f"{obj} is not enabled yet: operations wait for it. Decide first what becomes of them."
            self.message_user(request, text, messages.WARNING)
            response = redirect("admin:integrations_externalsystem_start", obj.pk)
        return self._with_secret(request, obj, response)

    def _with_secret(self, request: HttpRequest, system: Any, response: HttpResponse) -> HttpResponse:
        if not system.new_secret:
            return response
        title = f"The new signing secret of {system}"
        return shown_once(self, request, title, system.new_secret, response.get("Location") or "../")

    # --- Enabling and resuming ---

    def get_urls(self) -> list[URLPattern]:
        start = path(
            "<int:pk>/start/", self.admin_site.admin_view(self.start_view), name="integrations_externalsystem_start"
        )
        return [start, *super().get_urls()]

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        system = self.get_object(request, str(pk))
        if not self.has_change_permission(request, system):
            raise PermissionDenied
        if system is None:
            return redirect(reverse("admin:integrations_externalsystem_changelist"))
        return start_page(self, request, system)
