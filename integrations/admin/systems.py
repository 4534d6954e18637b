"""Admin of external systems: how to reach them, their secrets, and whether operations flow to them."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from changes.choices import ChangeType
from changes.pages.sign_in.confirming import ConfirmedAdmin, ask_again
from changes.security_log.recording import Subject, record
from integrations.models import ExternalSystem
from integrations.outgoing import outbox
from integrations.standing.status import SystemStatus, status_of, with_traffic

from . import shown
from .forms import ExternalSystemForm, settable, targets
from .once import shown_once
from .protection import CountsWhatProtects
from .start import start_page

# What the partner may do: the fields of the form, and the same in words for those who only look.
ALLOWED = ("change_types", "settable_fields", "transitions", "relays_for")
TOLD = ("types_told", "fields_told", "transitions_told", "relays_told")


@admin.register(ExternalSystem)
class ExternalSystemAdmin(ConfirmedAdmin, CountsWhatProtects, admin.ModelAdmin):
    form = ExternalSystemForm
    list_display = ("system_id", "description", "state", "way", "enabled")
    search_fields = ("system_id", "description")
    show_full_result_count = False
    readonly_fields = ("state_told", "secret", "former_secret", "groups", *TOLD)
    fieldsets = (
        (None, {"fields": ("state_told", "system_id", "description", "authorized_user", "groups", "sends_markdown")}),
        (_("Delivery"), {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled")}),
        (_("What the partner may do"), {"fields": ALLOWED}),
        (_("Signing"), {"fields": ("secret", "former_secret")}),
    )
    add_fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user", "sends_markdown")}),
        (_("Delivery"), {"fields": ("delivery", "endpoint_url", "max_in_flight", "rate_limit", "enabled")}),
        (_("What the partner may do"), {"fields": ALLOWED}),
        (_("Signing"), {"fields": ("new_signing_secret", "generate_secret")}),
    )
    entered_secrets = ("new_signing_secret", "generate_secret", "end_rotation")

    # --- Columns and fields ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExternalSystem]:
        systems: Any = super().get_queryset(request)
        return with_traffic(systems, timezone.now())

    def status(self, system: ExternalSystem) -> SystemStatus:
        return status_of(system, timezone.now())

    def get_fieldsets(self, request: HttpRequest, obj: ExternalSystem | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        if not self.has_change_permission(request, obj):
            return [
                (title, {"fields": TOLD if fields["fields"] == ALLOWED else fields["fields"]})
                for title, fields in self.fieldsets
            ]
        *rest, (title, signing) = self.fieldsets
        return [*rest, (title, {"fields": (*signing["fields"], *self.entered_secrets)})]

    def get_readonly_fields(self, request: HttpRequest, obj: ExternalSystem | None = None) -> Any:
        # The system id cannot be changed later: the partner and the history of changes use it.
        return self.readonly_fields if obj is None else ("system_id", *self.readonly_fields)

    @admin.display(description=_("delivery"), ordering="delivery")
    def way(self, system: ExternalSystem) -> str:
        return f"{system.delivery}, {_('not encrypted')}" if system.is_in_clear_text else system.delivery

    @admin.display(description=_("state"))
    def state(self, system: ExternalSystem) -> SafeString:
        """The state as a word that links to the status page."""
        return shown.state(self.status(system), is_whole=False)

    @admin.display(description=_("state"))
    def state_told(self, system: ExternalSystem) -> SafeString:
        """The state with its reason, for the page of one system."""
        return shown.state(self.status(system), is_whole=True)

    @admin.display(description=_("signing secret"))
    def secret(self, system: ExternalSystem) -> str:
        return gettext("Set") if system.signing_secret else gettext("Not set: operations are sent unsigned")

    @admin.display(description=_("former signing secret"))
    def former_secret(self, system: ExternalSystem) -> str:
        if system.previous_signing_secret:
            return gettext("Set: both secrets sign until the rotation ends")
        return gettext("Not set")

    @admin.display(description=_("external groups"))
    def groups(self, system: ExternalSystem) -> str:
        return ", ".join(str(external.group) for external in system.external_groups.select_related("group")) or "-"

    @admin.display(description=_("types of changes"))
    def types_told(self, system: ExternalSystem) -> str:
        return shown.chosen(system.change_types, ChangeType.choices)

    @admin.display(description=_("fields"))
    def fields_told(self, system: ExternalSystem) -> str:
        return shown.chosen(system.settable_fields, settable())

    @admin.display(description=_("transitions"))
    def transitions_told(self, system: ExternalSystem) -> str:
        return shown.chosen(system.transitions, targets())

    @admin.display(description=_("relays for"), empty_value="-")
    def relays_told(self, system: ExternalSystem) -> str:
        return ", ".join(system.relays_for)

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
        # Saves only the edited fields: a worker may pause the system meanwhile.
        obj.save(
            update_fields=[*(name for name in form.changed_data if name in ExternalSystemForm.Meta.fields), *secrets]
        )
        if enabling and not obj.is_held_back:
            outbox.wake_on_commit()

    def response_add(
        self, request: HttpRequest, obj: ExternalSystem, post_url_continue: str | None = None
    ) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        return self._with_secret(request, obj, response)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        response = super().response_change(request, obj)
        if obj.is_held_back:
            text = gettext("%(system)s is not enabled yet: first decide whether to send or skip what waits for it.")
            self.message_user(request, text % {"system": obj}, messages.WARNING)
            response = redirect("admin:integrations_externalsystem_start", obj.pk)
        return self._with_secret(request, obj, response)

    def _with_secret(self, request: HttpRequest, system: Any, response: HttpResponse) -> HttpResponse:
        if not system.new_secret:
            return response
        record("secret_shown", Subject.of(system))
        title = gettext("The new signing secret of %(system)s") % {"system": system}
        return shown_once(self, request, title, system.new_secret, response.get("Location") or "../")

    # --- Enabling and resuming ---

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.start_view)
        return [path("<int:pk>/start/", view, name="integrations_externalsystem_start"), *super().get_urls()]

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        system = self.get_object(request, str(pk))
        if not self.has_change_permission(request, system):
            raise PermissionDenied
        if system is None:
            return redirect(reverse("admin:integrations_externalsystem_changelist"))
        if asked := ask_again(request):
            return asked
        return start_page(self, request, system)
