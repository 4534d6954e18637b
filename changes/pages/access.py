"""Access to pages: members of staff may read; a write needs the page's permission."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views import View

from changes.actor import Person
from changes.choices import Role

from .htmx import asks_for_part, keep_apart
from .resume import to_sign_in

# Of people who are named one by one.
MOST_NAMED = 5
OF_PERMISSIONS = "django.contrib.auth.backends.ModelBackend"

# The refusal for each missing permission. `require()` appends "The roles that may: <roles>."
REFUSALS = {
    "changes.add_change": _("You may not create changes."),
    "changes.change_change": _("You may not edit changes or move them to another phase."),
    "changes.abandon_change": _("You may not abandon changes."),
    "changes.add_comment": _("You may not add comments."),
    "changes.add_attachment": _("You may not add attachments."),
    "changes.approve_change": _("You may not approve or deny plans."),
    "changes.view_securityevent": _("You may not read the security log."),
    "integrations.add_acknowledgement": _("You may not acknowledge what needs attention."),
    "integrations.retry_outgoingoperation": _("You may not retry operations."),
    "integrations.skip_outgoingoperation": _("You may not skip operations."),
    **dict.fromkeys(
        (
            "integrations.add_externalsystem",
            "integrations.add_partneraccount",
            "integrations.add_externalgroup",
            "changes.add_supportgroup",
            "knox.add_authtoken",
        ),
        _("You may not connect partners."),
    ),
    "integrations.change_externalsystem": _(
        "You may not set up systems, open or close circuit breakers, nor send test operations."
    ),
}
NOT_STAFF = _(
    "These pages are for the staff of this service desk. Your account has no role here; a partner's account works "
    "with the REST API. If you belong to the staff, ask an administrator for a role."
)


def roles_with(permission: str) -> list[str]:
    """The roles that hold `permission` now, including those to which an administrator added it. Queries them."""
    app_label, codename = permission.split(".")
    groups = Group.objects.filter(
        name__in=Role.values, permissions__content_type__app_label=app_label, permissions__codename=codename
    )
    return sorted(groups.values_list("name", flat=True))


def who_may(permission: str) -> list[str]:
    """Whom to ask for what needs `permission`: the people who hold it, or their roles if they are many.

    Superusers may everything. They are meant if nobody else may.
    """
    people = User.objects.with_perm(permission, include_superusers=False, backend=OF_PERMISSIONS)
    names = sorted(people.filter(is_staff=True).values_list("username", flat=True)[: MOST_NAMED + 1])
    if len(names) > MOST_NAMED:
        return roles_with(permission) or names[:MOST_NAMED]
    return names or [gettext("superusers")]


def require(user: Person, permission: str) -> None:
    """Raises PermissionDenied, which names the roles that may, unless `user` holds `permission`."""
    if user.has_perm(permission):
        return
    sentence, roles = REFUSALS[permission], ", ".join(roles_with(permission))
    if not roles:
        raise PermissionDenied(gettext("%(refusal)s Only superusers may.") % {"refusal": sentence})
    values = {"refusal": sentence, "roles": roles}
    raise PermissionDenied(gettext("%(refusal)s The roles that may: %(roles)s.") % values)


class StaffPage(View):
    """A page for staff. A POST needs `permission`; with `is_write_page`, a GET needs it too."""

    permission = ""
    is_write_page = False

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if asks_for_part(request):
                # htmx asks for a part of a page. The page stays, with what was typed, and js/app.js says what to do.
                return HttpResponse(status=401)
            return to_sign_in(request)
        if not request.user.is_staff:
            raise PermissionDenied(NOT_STAFF)
        if self.permission and (self.is_write_page or request.method == "POST"):
            require(request.user, self.permission)
        response = super().dispatch(request, *args, **kwargs)
        keep_apart(response)
        return response
