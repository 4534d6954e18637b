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
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from integrations.choices import DeliveryStatus
from integrations.models import ExternalSystem
from integrations.outgoing import outbox
from integrations.standing.status import SystemStatus, status_of, with_traffic

from . import shown
from .breaker import breaker_page
from .forms import ExternalSystemForm
from .once import shown_once
from .protection import CountsWhatProtects
from .start import start_page


@admin.register(ExternalSystem)
class ExternalSystemAdmin(CountsWhatProtects, admin.ModelAdmin):
    form = ExternalSystemForm
    list_display = (
        *("system_id", "description", "health", "waiting", "oldest", "refused", "delivered"),
        *("breaker", "way", "enabled"),
    )
    search_fields = ("system_id", "description")
    show_full_result_count = False
    health_fields = ("health_told", "waiting", "oldest", "in_flight", "refused", "delivered", "rate")
    breaker_fields = ("breaker", "breaker_since", "next_probe", "breaker_reason", "failures_in_a_row")
    readonly_fields = ("paused", *health_fields, *breaker_fields, "secret", "former_secret", "groups")
    fieldsets = (
        (_("Health"), {"fields": (health_fields[0], health_fields[1:4], health_fields[4:])}),
        (None, {"fields": ("system_id", "description", "authorized_user", "groups")}),
        (_("Delivery"), {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled", "paused")}),
        (_("Circuit breaker"), {"fields": breaker_fields}),
        (_("Signing"), {"fields": ("secret", "former_secret")}),
    )
    add_fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user")}),
        (_("Delivery"), {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled")}),
        (_("Signing"), {"fields": ("new_signing_secret", "generate_secret")}),
    )
    entered_secrets = ("new_signing_secret", "generate_secret", "end_rotation")

    # --- What is shown ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExternalSystem]:
        return with_traffic(super().get_queryset(request), timezone.now())

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

    @admin.display(description=_("delivery"), ordering="delivery")
    def way(self, system: ExternalSystem) -> str:
        return system.delivery

    @admin.display(description=_("paused"))
    def paused(self, system: ExternalSystem) -> str:
        if system.paused_at is None:
            return gettext("No")
        values = {"time": _local(system.paused_at), "reason": system.pause_reason}
        return gettext("Since %(time)s: %(reason)s") % values

    @admin.display(description=_("health"))
    def health(self, system: ExternalSystem) -> SafeString:
        """The word and since when, in a list."""
        return shown.health(self.status(system), is_whole=False)

    @admin.display(description=_("health"))
    def health_told(self, system: ExternalSystem) -> SafeString:
        """With the reason, on the page of one system."""
        return shown.health(self.status(system), is_whole=True)

    @admin.display(description=_("waiting"), ordering="unsettled_count")
    def waiting(self, system: ExternalSystem) -> SafeString | int:
        return shown.operations(system, self.status(system).waiting, DeliveryStatus.WAITING)

    @admin.display(description=_("oldest waiting"), ordering="oldest_waiting")
    def oldest(self, system: ExternalSystem) -> SafeString | str:
        return shown.moment(self.status(system).oldest_waiting, "-")

    @admin.display(description=_("in flight"))
    def in_flight(self, system: ExternalSystem) -> int:
        return self.status(system).in_flight

    @admin.display(description=_("refused"))
    def refused(self, system: ExternalSystem) -> SafeString | int:
        return shown.operations(system, self.status(system).refused, DeliveryStatus.REFUSED)

    @admin.display(description=_("rate"))
    def rate(self, system: ExternalSystem) -> str:
        status = self.status(system)
        values = {"last": status.delivered_last_minute, "average": f"{status.delivered_per_minute:g}"}
        return gettext("%(last)s in the last minute, %(average)s a minute over the last five") % values

    @admin.display(description=_("last success"), ordering="last_delivered")
    def delivered(self, system: ExternalSystem) -> SafeString | str:
        return shown.moment(self.status(system).last_delivered, gettext("Never"))

    @admin.display(description=_("circuit breaker"), ordering="control__breaker")
    def breaker(self, system: ExternalSystem) -> str:
        status = self.status(system)
        return str(status.breaker.state.label) if status.is_called else "-"

    @admin.display(description=_("since"))
    def breaker_since(self, system: ExternalSystem) -> str:
        return _local(self.status(system).breaker.since) or "-"

    @admin.display(description=_("next probe"))
    def next_probe(self, system: ExternalSystem) -> str:
        breaker = self.status(system).breaker
        if breaker.is_by_hand:
            return gettext("None: a person closes it")
        # To the second: it may be open for less than a minute.
        return f"{timezone.localtime(breaker.until):%Y-%m-%d %H:%M:%S}" if breaker.until else "-"

    @admin.display(description=_("reason"))
    def breaker_reason(self, system: ExternalSystem) -> str:
        return self.status(system).breaker.reason or "-"

    @admin.display(description=_("failures in a row"))
    def failures_in_a_row(self, system: ExternalSystem) -> int:
        return self.status(system).breaker.consecutive_failures

    @admin.display(description=_("signing secret"))
    def secret(self, system: ExternalSystem) -> str:
        return gettext("Set") if system.signing_secret else gettext("Not set: operations are sent unsigned")

    @admin.display(description=_("former signing secret"))
    def former_secret(self, system: ExternalSystem) -> str:
        if system.previous_signing_secret:
            return gettext("Set: a rotation goes on, both sign")
        return gettext("Not set")

    @admin.display(description=_("external groups"))
    def groups(self, system: ExternalSystem) -> str:
        return ", ".join(str(external.group) for external in system.external_groups.select_related("group")) or "-"

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
            text = gettext("%(system)s is not enabled yet: operations wait for it. Decide first what becomes of them.")
            self.message_user(request, text % {"system": obj}, messages.WARNING)
            response = redirect("admin:integrations_externalsystem_start", obj.pk)
        return self._with_secret(request, obj, response)

    def _with_secret(self, request: HttpRequest, system: Any, response: HttpResponse) -> HttpResponse:
        if not system.new_secret:
            return response
        title = gettext("The new signing secret of %(system)s") % {"system": system}
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
