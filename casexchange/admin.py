"""The admin site: Django's own, with the product's sign-in page and the product's section names."""

from collections.abc import Iterator
from datetime import MAXYEAR, MINYEAR
from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_FACETS_VAR, IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import DateField, Field
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

# Headings of the sections on the admin's index page, in their order there. LISTS, below, renames some of their lists.
SECTIONS = {
    "changes": _("Changes"),
    "integrations": _("Exchange"),
    "auth": _("People and roles"),
    "knox": _("API tokens"),
    "axes": _("Sign-in attempts"),
}
# Query parameters that every list accepts besides its filters.
OF_EVERY_LIST = {ALL_VAR, ERROR_FLAG, IS_FACETS_VAR, IS_POPUP_VAR, ORDER_VAR, PAGE_VAR, SEARCH_VAR, TO_FIELD_VAR}
# The first and the last year are left out: adding a day or converting the time zone would overflow `datetime`.
YEARS = range(MINYEAR + 1, MAXYEAR)
NO_SUCH_PART = {"year": _("This is not a year."), "month": _("This is not a month."), "day": _("This is not a day.")}
DATE_PARTS = {"year": YEARS, "month": range(1, 13), "day": range(1, 32)}
LISTS = {"auth.group": _("Roles"), "knox.authtoken": _("API tokens")}


# Scripts that only prepopulated fields need. Together they are half the size of a page.
FOR_PREPOPULATED = ("urlify.js", "prepopulate.js", "xregexp.js", "xregexp.min.js")


class LightMedia:
    """Leaves out the scripts for prepopulated fields if the admin class has no such fields."""

    prepopulated_fields: Any

    @property
    def media(self) -> Media:
        media: Media = super().media  # type: ignore[misc]
        if self.prepopulated_fields:
            return media
        kept: Any = media  # Django has no public accessor for _css and _js
        return Media(css=kept._css, js=[path for path in kept._js if not str(path).endswith(FOR_PREPOPULATED)])


class CaseExchangeAdminSite(AdminSite):
    site_title = _("casexchange administration")
    site_header = _("casexchange administration")
    index_title = _("Administration")
    site_url = "/"
    # The lists need the width. Each page links back to the index, which names every list.
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: object) -> None:
        admin_class = admin_class or ModelAdmin
        light = type(admin_class.__name__, (LightMedia, admin_class), {"__module__": admin_class.__module__})
        super().register(model_or_iterable, light, **options)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirects to the product's sign-in page, which counts wrong passwords.

        Raises PermissionDenied if the user is signed in but not a member of staff.
        """
        index = reverse("admin:index", current_app=self.name)
        if self.has_permission(request):
            return redirect(index)
        if request.user.is_authenticated:
            raise PermissionDenied(_("The administration is for members of staff."))
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or index)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            admin = getattr(view, "__self__", None)
            _refuse_malformed(request, admin)
            if isinstance(admin, ModelAdmin) and view.__name__ == "changelist_view":
                _refuse_foreign_filters(request, admin)
            return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(checked, view), cacheable)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Signs out and redirects to the product's sign-in page, as on the product's other pages."""
        return LogoutView.as_view()(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Redirects to the product's page, which counts wrong passwords."""
        return redirect("account_change_password")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        sections = super().get_app_list(request, app_label)
        order = [*SECTIONS]
        for section in sections:
            for entry in section["models"]:
                entry["name"] = LISTS.get(entry["model"]._meta.label_lower, entry["name"])
        known = len(order)
        return sorted(
            sections, key=lambda item: order.index(item["app_label"]) if item["app_label"] in order else known
        )


def _refuse_malformed(request: HttpRequest, admin: Any) -> None:
    """Raises BadRequest for input that no admin page sends and on which Django's admin would answer 500."""
    chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
    asked = [value for _, values in request.GET.lists() for value in values]
    if any("\x00" in value for value in (request.path, *asked, *chosen)):
        raise BadRequest(_("A NUL character is not allowed in an address."))
    if chosen and isinstance(admin, ModelAdmin):
        try:
            for value in chosen:
                admin.opts.pk.run_validators(admin.opts.pk.to_python(value))
        except ValidationError as error:
            raise BadRequest(_("The selection contains something that is not in this list.")) from error


def _refuse_foreign_filters(request: HttpRequest, admin: ModelAdmin) -> None:
    """Raises BadRequest for a filter that the list does not offer itself.

    Django's admin accepts any lookup on any field of the model. A regular expression could take a minute to match, and
    a lookup on a secret would reveal the secret bit by bit.
    """
    offered = dict(_filters(request, admin))
    for name, values in request.GET.lists():
        if name in OF_EVERY_LIST:
            continue
        if name not in offered:
            raise BadRequest(_("This list has no such filter."))
        field = offered[name]
        if isinstance(field, DateField) and any(_is_out_of_calendar(field, value) for value in values):
            raise BadRequest(_("This date is out of range."))
    if admin.date_hierarchy:
        _refuse_bad_day(request, admin.date_hierarchy)


def _filters(request: HttpRequest, admin: ModelAdmin) -> Iterator[tuple[str, Field | None]]:
    """The query parameters of the list's filters, each with its field if values are compared as they are."""
    if admin.date_hierarchy:
        yield from ((f"{admin.date_hierarchy}__{part}", None) for part in DATE_PARTS)
    items: Any = admin.get_list_filter(request)
    for item in items:
        if isinstance(item, type):
            yield getattr(item, "parameter_name", ""), None
            continue
        path = str(item if isinstance(item, str) else item[0])
        field: Any = get_fields_from_path(admin.model, path)[-1]
        yield f"{path}__isnull", None
        if field.is_relation:
            yield f"{path}__{field.target_field.name}__exact", None
            continue
        # `in`: one of our pages links to a list of several states.
        for lookup in ("gte", "lt") if isinstance(field, DateField) else ("exact", "in"):
            yield f"{path}__{lookup}", field
        yield path, field


def _is_out_of_calendar(field: DateField, value: str) -> bool:
    try:
        day = field.to_python(value)
    except ValidationError:
        return False  # Django's filter reports a value that is no date.
    return day is not None and day.year not in YEARS


def _refuse_bad_day(request: HttpRequest, name: str) -> None:
    """Raises BadRequest unless `name` is given as a year, a year and month, or a year, month and day, all possible."""
    is_whole = True
    for part, possible in DATE_PARTS.items():
        values = request.GET.getlist(f"{name}__{part}")
        if values and not is_whole:
            raise BadRequest(_("A month needs a year, and a day needs a month."))
        if any(not value.isdecimal() or len(value) > 4 or int(value) not in possible for value in values):
            raise BadRequest(NO_SUCH_PART[part])
        is_whole = bool(values)
