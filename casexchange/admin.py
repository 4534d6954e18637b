"""The admin site: Django's own, behind the product's sign-in page and under its names."""

from functools import update_wrapper
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView, redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

# The order of the sections on the admin's first page, and what they and some of their lists are called there.
SECTIONS = {
    "changes": "Changes",
    "integrations": "Exchange",
    "auth": "People and roles",
    "knox": "API tokens",
    "axes": "Sign-in attempts",
}
LISTS = {"auth.group": "Roles", "knox.authtoken": "API tokens"}


class CaseExchangeAdminSite(AdminSite):
    site_title = "casexchange administration"
    site_header = "casexchange administration"
    index_title = "Administration"
    site_url = "/"
    # The lists need the width; each page has a way back to the first, which names them all.
    enable_nav_sidebar = False

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Hands over to the product's sign-in page, which counts wrong passwords. 403 for whoever is not staff."""
        index = reverse("admin:index", current_app=self.name)
        if self.has_permission(request):
            return redirect(index)
        if request.user.is_authenticated:
            raise PermissionDenied("The administration is for members of staff.")
        return redirect_to_login(request.GET.get(REDIRECT_FIELD_NAME) or index)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            _refuse_malformed(request, getattr(view, "__self__", None))
            return view(request, *args, **kwargs)

        return super().admin_view(update_wrapper(checked, view), cacheable)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Ends at the product's sign-in page, as a logout from its other pages does."""
        return LogoutView.as_view()(request)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        sections = super().get_app_list(request, app_label)
        order = [*SECTIONS]
        for section in sections:
            label = section["app_label"]
            section["name"] = SECTIONS.get(label, section["name"])
            for entry in section["models"]:
                entry["name"] = LISTS.get(entry["model"]._meta.label_lower, entry["name"])
        known = len(order)
        return sorted(
            sections, key=lambda item: order.index(item["app_label"]) if item["app_label"] in order else known
        )


def _refuse_malformed(request: HttpRequest, admin: Any) -> None:
    """Raises BadRequest for what no page of the admin sends, and what Django's would end in an error of the server."""
    chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
    asked = [value for _, values in request.GET.lists() for value in values]
    if any("\x00" in value for value in (request.path, *asked, *chosen)):
        raise BadRequest("A NUL character is not allowed in an address.")
    if chosen and isinstance(admin, ModelAdmin):
        try:
            for value in chosen:
                admin.opts.pk.to_python(value)
        except ValidationError as error:
            raise BadRequest("What was chosen is no record of this list.") from error
