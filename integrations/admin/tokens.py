"""Admin of REST API tokens: they are created, shown once, and revoked. They cannot be edited or shown again."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox import admin as knox_admin  # noqa: F401 - registers knox's admin, which is replaced here
from knox.models import AuthToken

from changes.admin.readonly import PlainChoices
from changes.pages.sign_in.confirming import ConfirmedAdmin
from integrations.tokens import making
from integrations.tokens.life import WARNED_BEFORE, is_expired, what_ends
from integrations.tokens.naming import token_name
from integrations.tokens.revoking import revoke

from .forms import TokenForm
from .once import shown_once
from .too_many import are_too_many

admin.site.unregister(AuthToken)


def _moment(moment: datetime | None) -> str:
    """As Django's admin shows a time in a list; "" for None."""
    return date_format(timezone.localtime(moment), "DATETIME_FORMAT") if moment else ""


class ExpiredFilter(admin.SimpleListFilter):
    title = _("expiry")
    parameter_name = "expired"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Any:
        return [("yes", _("Expired")), ("no", _("Not expired")), ("soon", _("Expires soon")), ("never", _("No end"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuthToken]) -> QuerySet[AuthToken]:
        now = timezone.now()
        match self.value():
            case "yes":
                return queryset.filter(expiry__lte=now)
            case "no":
                return queryset.exclude(expiry__lte=now)
            case "soon":
                return queryset.filter(expiry__gt=now, expiry__lte=now + WARNED_BEFORE)
            case "never":
                return queryset.filter(expiry=None)
        return queryset


class LastUsedFilter(admin.SimpleListFilter):
    title = _("last used")
    parameter_name = "used"
    LONG = timedelta(days=90)

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> Any:
        return [("never", _("Never used")), ("long-ago", _("Not for 90 days")), ("lately", _("In the last 90 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuthToken]) -> QuerySet[AuthToken]:
        start = timezone.now() - self.LONG
        match self.value():
            case "never":
                return queryset.filter(life__last_used_at=None)
            case "long-ago":
                return queryset.filter(life__last_used_at__lt=start)
            case "lately":
                return queryset.filter(life__last_used_at__gte=start)
        return queryset


@admin.register(AuthToken)
class TokenAdmin(ConfirmedAdmin, PlainChoices, admin.ModelAdmin):
    form = TokenForm
    list_display = ("name", "user", "created", "expires", "last_used", "last_used_from", "state")
    list_filter = (ExpiredFilter, LastUsedFilter)
    search_fields = ("user__username", "token_key")
    ordering = ("-created",)
    actions = ("revoke",)
    change_form_template = "admin/knox/authtoken/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthToken]:
        return super().get_queryset(request).select_related("user", "life").prefetch_related("user__authorized_systems")

    # --- Columns and fields ---

    @admin.display(description=_("token"), ordering="token_key")
    def name(self, token: AuthToken) -> str:
        return token_name(token)

    @admin.display(description=_("state"))
    def state(self, token: AuthToken) -> str:
        if is_expired(token):
            return gettext("Expired")
        if not token.user.is_active:
            return gettext("Unusable: the user is inactive")
        systems = token.user.authorized_systems.all()
        if systems and not any(system.enabled for system in systems):
            names = ", ".join(system.system_id for system in systems)
            return gettext("Unusable: %(systems)s is disabled") % {"systems": names}
        return what_ends(token) or gettext("Valid")

    @admin.display(description=_("expires"), ordering="expiry")
    def expires(self, token: AuthToken) -> str:
        return _moment(token.expiry) or gettext("No end")

    @admin.display(description=_("last used"), ordering="life__last_used_at")
    def last_used(self, token: AuthToken) -> str:
        return _moment(token.life.last_used_at if hasattr(token, "life") else None) or gettext("Never used")

    @admin.display(description=_("from"), ordering="life__last_used_from")
    def last_used_from(self, token: AuthToken) -> str:
        return (token.life.last_used_from if hasattr(token, "life") else "") or "-"

    def get_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> Any:
        if obj is None:
            return ("user", "expiry", "has_no_end")
        return ("name", "user", "created", "expires", "last_used", "last_used_from", "state")

    def get_readonly_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> Any:
        return () if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        # Tokens are revoked by an action instead: its page names them so that a person recognises them.
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("knox.delete_authtoken")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {"title": _("API tokens"), **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> Any:
        token = self.get_object(request, object_id)
        context = {
            "title": self._label(token) if token else None,
            "subtitle": None,
            "may_revoke": self.has_revoke_permission(request),
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def _label(self, token: AuthToken) -> str:
        return making.label(token)

    # --- Creating ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, object] | None = None) -> Any:
        # No "save and ..." buttons: the answer to a new token must be the page that shows it.
        context = {"title": _("New API token"), "show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def get_form(
        self, request: HttpRequest, obj: AuthToken | None = None, change: bool = False, **kwargs: object
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "user" in form.base_fields:
            user: Any = form.base_fields["user"]
            user.queryset = TokenForm.users_for(request.user)
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: TokenForm, change: bool) -> None:
        created, obj.token = making.make(obj.user, form.cleaned_data["expiry"])
        obj.digest, obj.token_key = created.digest, created.token_key

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        title = gettext("The new token of %(user)s") % {"user": obj.user}
        return shown_once(self, request, title, obj.token, reverse("admin:knox_authtoken_changelist"))

    def log_addition(self, request: HttpRequest, obj: AuthToken, message: list[dict[str, Any]] | str) -> Any:
        return self._log(request, obj, ADDITION)

    def _log(self, request: HttpRequest, token: AuthToken, action: int) -> LogEntry:
        return making.log(request.user, token, action)

    # --- Revoking ---

    @admin.action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[AuthToken]) -> HttpResponse | None:
        if are_too_many(self, request, tokens, _("Choose fewer.")):
            return None
        if "confirmed" not in request.POST:
            context = {
                **self.admin_site.each_context(request),
                "title": _("Revoke tokens"),
                "opts": self.opts,
                "tokens": [(token.pk, self._label(token), self.state(token)) for token in tokens],
                "checkbox_name": ACTION_CHECKBOX_NAME,
            }
            return TemplateResponse(request, "admin/knox/authtoken/revoke.html", context)
        for token in tokens:
            revoke(AuthToken.objects.filter(pk=token.pk), f"by {request.user}")
            self._log(request, token, DELETION)
            text = gettext("%(token)s is revoked.") % {"token": self._label(token)}
            self.message_user(request, text, messages.SUCCESS)
        return None
