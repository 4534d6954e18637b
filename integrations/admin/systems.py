"""External systems: how a partner is reached, its secrets, and whether operations flow to it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import localize
from django.utils.timesince import timesince
from django.views.decorators.debug import sensitive_post_parameters

from .. import outbox
from ..models import ExternalSystem
from ..status import SystemStatus, status_of, with_traffic
from .breaker import breaker_page
from .forms import ExternalSystemForm
from .once import shown_once
from .protection import CountsWhatProtects
from .start import start_page


@admin.register(ExternalSystem)
class ExternalSystemAdmin(CountsWhatProtects, admin.ModelAdmin):
    form = ExternalSystemForm
    list_display = (
        *("system_id", "description", "way", "enabled", "paused"),
        *("breaker_told", "unsettled", "oldest", "delivered"),
    )
    search_fields = ("system_id", "description")
    traffic_fields = ("waiting", "oldest", "in_flight", "refused", "rate", "delivered")
    breaker_fields = ("breaker", "breaker_since", "next_probe", "breaker_reason", "failures_in_a_row")
    readonly_fields = ("paused", *traffic_fields, *breaker_fields, "secret", "former_secret", "groups")
    fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user", "groups")}),
        ("Delivery", {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled", "paused")}),
        ("Traffic", {"fields": traffic_fields}),
        ("Circuit breaker", {"fields": breaker_fields}),
        ("Signing", {"fields": ("secret", "former_secret")}),
    )
    add_fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user")}),
        ("Delivery", {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled")}),
        ("Signing", {"fields": ("new_signing_secret", "generate_secret")}),
    )
    entered_secrets = ("new_signing_secret", "generate_secret", "end_rotation")

    # --- What is shown ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExternalSystem]:
        systems = with_traffic(super().get_queryset(request), timezone.now())
        return systems.prefetch_related("external_groups__group")

    def status(self, system: ExternalSystem) -> SystemStatus:
        return status_of(system, timezone.now())

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
        return f"Since {_local(system.paused_at)}: {system.pause_reason}"

    @admin.display(description="not settled", ordering="unsettled_count")
    def unsettled(self, system: Any) -> int:
        return system.unsettled_count

    @admin.display(description="waiting operations")
    def waiting(self, system: ExternalSystem) -> int:
        return self.status(system).waiting

    @admin.display(description="oldest waiting", ordering="oldest_waiting")
    def oldest(self, system: ExternalSystem) -> str:
        oldest = self.status(system).oldest_waiting
        return f"{timesince(oldest)} old" if oldest else "-"

    @admin.display(description="in flight")
    def in_flight(self, system: ExternalSystem) -> int:
        return self.status(system).in_flight

    @admin.display(description="refused")
    def refused(self, system: ExternalSystem) -> int:
        return self.status(system).refused

    @admin.display(description="delivered")
    def rate(self, system: ExternalSystem) -> str:
        status = self.status(system)
        last, average = status.delivered_last_minute, status.delivered_per_minute
        return f"{last} in the last minute, {average:g} a minute over the last five"

    @admin.display(description="last delivered", ordering="last_delivered")
    def delivered(self, system: ExternalSystem) -> str:
        return _local(self.status(system).last_delivered) or "Never"

    @admin.display(description="circuit breaker", ordering="control__breaker")
    def breaker_told(self, system: ExternalSystem) -> str:
        breaker = self.status(system).breaker
        told = breaker.state.label
        if breaker.since:
            told += f" since {_local(breaker.since)}: {breaker.reason}"
        if breaker.until:
            told += f"; next probe {self.next_probe(system)}"
        if breaker.consecutive_failures:
            told += f"; failures in a row: {breaker.consecutive_failures}"
        return told

    @admin.display(description="circuit breaker")
    def breaker(self, system: ExternalSystem) -> str:
        return self.status(system).breaker.state.label

    @admin.display(description="since")
    def breaker_since(self, system: ExternalSystem) -> str:
        return _local(self.status(system).breaker.since) or "-"

    @admin.display(description="next probe")
    def next_probe(self, system: ExternalSystem) -> str:
        breaker = self.status(system).breaker
        if breaker.is_by_hand:
            return "None: a person closes it"
        # To the second: it may be open for less than a minute.
        return f"{timezone.localtime(breaker.until):%Y-%m-%d %H:%M:%S}" if breaker.until else "-"

    @admin.display(description="reason")
    def breaker_reason(self, system: ExternalSystem) -> str:
        return self.status(system).breaker.reason or "-"

    @admin.display(description="failures in a row")
    def failures_in_a_row(self, system: ExternalSystem) -> int:
        return self.status(system).breaker.consecutive_failures

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

    # --- Enabling and resuming, and the circuit breaker ---

    def get_urls(self) -> list[URLPattern]:
        views = {"start": self.start_view, "breaker": self.breaker_view}
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"integrations_externalsystem_{name}")
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, start_page)

    def breaker_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, breaker_page)

    def _decide(self, request: HttpRequest, pk: int, page: Callable[..., HttpResponse]) -> HttpResponse:
        system = self.get_object(request, str(pk))
        if not self.has_change_permission(request, system):
            raise PermissionDenied
        if system is None:
            return redirect(reverse("admin:integrations_externalsystem_changelist"))
        return page(self, request, system)


def _local(moment: datetime | None) -> str:
    return localize(timezone.localtime(moment)) if moment else ""
