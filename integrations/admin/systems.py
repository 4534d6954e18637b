"""Admin of external systems: how to reach them, their secrets, and whether operations flow to them."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from changes.choices import ChangeType
from changes.pages.sign_in.confirming import ConfirmedAdmin, ask_again
from changes.security_log.recording import Subject, record
from integrations.choices import Delivery, UnknownProperties
from integrations.models import ExternalSystem
from integrations.outgoing import outbox
from integrations.setup import adapter_password, smax_settings
from integrations.standing.status import SystemStatus, status_of, with_traffic

from . import shown
from .forms import ExternalSystemForm, settable, targets
from .once import shown_once
from .people import tokens_revoked
from .protection import CountsWhatProtects
from .start import start_page

# What the partner may do: the fields of the form, and the same in words for those who only look.
ALLOWED = ("change_types", "settable_fields", "transitions", "relays_for")
SMAX = ("smax_entity_types", "smax_unknown_properties", "smax_values")
TOLD_FOR: dict[tuple[str, ...], tuple[str, ...]] = {
    ALLOWED: ("types_told", "fields_told", "transitions_told", "relays_told"),
    (*SMAX, "password"): ("entities_told", "unknown_told", "values_told", "password"),
}
TOLD = tuple(dict.fromkeys(name for names in TOLD_FOR.values() for name in names if name != "password"))
FOR_PUSH = _("Only for push, when we call the partner.")
FOR_CALLED = _("For push and mapped, when we call the partner.")
FOR_SMAX = _("Only for a partner whose SMAX adapter collects its operations.")
DELIVERY: tuple[Any, ...] = (
    (_("Delivery"), {"fields": ("delivery", "enabled")}),
    (_("Push"), {"fields": ("endpoint_url",), "description": FOR_PUSH}),
    (_("Load"), {"fields": ("max_in_flight", "rate_limit"), "description": FOR_CALLED}),
)


@admin.register(ExternalSystem)
class ExternalSystemAdmin(ConfirmedAdmin, CountsWhatProtects, admin.ModelAdmin):
    form = ExternalSystemForm
    list_display = ("system_id", "description", "state", "way", "enabled")
    search_fields = ("system_id", "description")
    show_full_result_count = False
    readonly_fields = ("state_told", "secret", "former_secret", "password", "groups", *TOLD)
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("state_told", "system_id", "description", "authorized_user", "groups", "sends_markdown")}),
        *DELIVERY,
        (_("SMAX"), {"fields": (*SMAX, "password"), "description": FOR_SMAX}),
        (_("What the partner may do"), {"fields": ALLOWED}),
        (_("Signing"), {"fields": ("secret", "former_secret"), "description": FOR_PUSH}),
    )
    add_fieldsets = (
        (None, {"fields": ("system_id", "description", "authorized_user", "sends_markdown")}),
        *DELIVERY,
        (_("SMAX"), {"fields": (*SMAX, "new_password"), "description": FOR_SMAX}),
        (_("What the partner may do"), {"fields": ALLOWED}),
        (_("Signing"), {"fields": ("new_signing_secret", "generate_secret"), "description": FOR_PUSH}),
    )
    # What is typed and never shown, after the fields that say whether it is set.
    entered = {
        "password": ("new_password",),
        "former_secret": ("new_signing_secret", "generate_secret", "end_rotation"),
    }

    # --- Columns and fields ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExternalSystem]:
        systems: Any = super().get_queryset(request)
        return with_traffic(systems, timezone.now())

    def status(self, system: ExternalSystem) -> SystemStatus:
        return status_of(system, timezone.now())

    def get_fieldsets(self, request: HttpRequest, obj: ExternalSystem | None = None) -> Any:
        if obj is None:
            return self.add_fieldsets
        may_change = self.has_change_permission(request, obj)
        return [
            (title, {**options, "fields": self._of(options["fields"], may_change)}) for title, options in self.fieldsets
        ]

    def _of(self, fields: tuple[str, ...], may_change: bool) -> tuple[str, ...]:
        """The fields for those who may change them, or the same in words."""
        if may_change:
            return (*fields, *self.entered.get(fields[-1], ()))
        return TOLD_FOR.get(fields, fields)

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
        """The state with its reason, for the page of one system. As stored, whatever a form with errors has in it."""
        now = timezone.now()
        (stored,) = with_traffic(ExternalSystem.objects.filter(pk=system.pk), now)
        return shown.state(status_of(stored, now), is_whole=True)

    @admin.display(description=_("signing secret"))
    def secret(self, system: ExternalSystem) -> str:
        if system.signing_secret:
            return gettext("Set")
        return (
            gettext("Not set: operations are sent unsigned") if system.delivery == Delivery.PUSH else gettext("Not set")
        )

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

    @admin.display(description=_("entity types"))
    def entities_told(self, system: ExternalSystem) -> str:
        return ", ".join(smax_settings.whole(system.smax)["entity_types"])

    @admin.display(description=_("unknown properties"))
    def unknown_told(self, system: ExternalSystem) -> str:
        return str(UnknownProperties(smax_settings.whole(system.smax)["unknown_properties"]).label)

    @admin.display(description=_("values"), empty_value="-")
    def values_told(self, system: ExternalSystem) -> str:
        tables = smax_settings.whole(system.smax)["values"]
        return "; ".join(
            f"{name}: {', '.join(f'{ours} → {theirs}' for ours, theirs in table.items())}"
            for name, table in tables.items()
        )

    @admin.display(description=_("password"))
    def password(self, system: ExternalSystem) -> str:
        if system.authorized_user.has_usable_password():
            return gettext("Set")
        return gettext("Not set: an adapter cannot sign in")

    # --- Saving ---

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> type[ExternalSystemForm]:
        form: Any = super().get_form(request, *args, **kwargs)
        form.names_systems = self.has_view_permission(request)
        return form

    @method_decorator(sensitive_post_parameters("new_signing_secret", "new_password"))
    def changeform_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(*args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: ExternalSystemForm, change: bool) -> None:
        secrets = [*form.replace_secrets(), *form.replace_smax()]
        obj.new_secret = obj.signing_secret if form.cleaned_data.get("generate_secret") else None
        if not change:
            obj.save()
            self._set_password(request, obj, form)
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
        self._set_password(request, obj, form)
        if "delivery" in form.changed_data:
            self._say_what_flows(request, obj)

    @method_decorator(sensitive_variables("password"))
    def _set_password(self, request: HttpRequest, system: ExternalSystem, form: ExternalSystemForm) -> None:
        password = form.cleaned_data.get("new_password")
        if not password:
            return
        revoked = adapter_password.replace(system, password)
        values = {"user": system.authorized_user, "count": revoked}
        self.message_user(request, gettext("The password of %(user)s is set.") % values, messages.SUCCESS)
        if revoked:
            self.message_user(request, tokens_revoked(revoked) % values, messages.WARNING)

    def _say_what_flows(self, request: HttpRequest, system: ExternalSystem) -> None:
        """What becomes of the waiting operations with the new delivery. Their order and ids stay."""
        count = outbox.unsettled(system).count()
        if not count:
            return
        if system.collects:
            text = ngettext(
                "%(count)s operation waits until %(system)s collects it.",
                "%(count)s operations wait until %(system)s collects them.",
                count,
            )
        else:
            outbox.wake_on_commit()
            text = ngettext(
                "%(count)s operation is sent to %(system)s now, even if it was handed out before.",
                "%(count)s operations are sent to %(system)s now, even those that were handed out before.",
                count,
            )
        self.message_user(request, text % {"count": count, "system": system}, messages.WARNING)

    def response_add(
        self, request: HttpRequest, obj: ExternalSystem, post_url_continue: str | None = None
    ) -> HttpResponse:
        response = super().response_add(request, obj, post_url_continue)
        told = gettext("What comes next: %(page)s")
        is_mapped = obj.delivery == Delivery.MAPPED
        name = gettext("the document of its connection") if is_mapped else gettext("what the partner enters")
        page = format_html('<a href="{}">{}</a>', reverse("exchange:connect", args=[obj.system_id]), name)
        self.message_user(request, format_html(told.replace("%(page)s", "{}"), page), messages.INFO)
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
