"""Users and support groups: extends changes.admin with authorized users and external systems."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.admin.people import PersonAdmin, SupportGroupAdmin
from changes.admin.readonly import PlainChoices
from changes.choices import Role
from changes.models import SupportGroup
from integrations.models import ExternalGroup

from .protection import CountsWhatProtects

admin.site.unregister(User)
admin.site.unregister(SupportGroup)


class PartnerUserForm(UserChangeForm):
    """Refuses roles and superuser rights for the authorized user of an external system."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        systems = ", ".join(system.system_id for system in self.instance.authorized_systems.all())
        if not systems:
            return cleaned
        refusal = gettext("This is the authorized user of %(systems)s, who must not be a member of staff.")
        refusal %= {"systems": systems}
        if any(role.name in Role.values for role in cleaned.get("groups", ())):
            self.add_error("groups", ValidationError(refusal, code="authorized_user"))
        if cleaned.get("is_superuser"):
            self.add_error("is_superuser", ValidationError(refusal, code="authorized_user"))
        return cleaned


@admin.register(User)
class UserAdmin(PersonAdmin):
    form = PartnerUserForm
    list_display: Any = (*PersonAdmin.list_display, "speaks_for")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("authorized_systems")

    @admin.display(description=_("authorized user of"))
    def speaks_for(self, user: User) -> str:
        return ", ".join(system.system_id for system in user.authorized_systems.all())


class ExternalGroupInline(PlainChoices, admin.StackedInline):
    """The external system that a group belongs to. Giving a change to the group gives it to that partner."""

    model = ExternalGroup
    verbose_name = verbose_name_plural = _("external system")
    fields = ("system",)


@admin.register(SupportGroup)
class GroupAdmin(CountsWhatProtects, SupportGroupAdmin):
    inlines = (ExternalGroupInline,)
    list_display: Any = ("name", "external_system", "people")
    list_select_related = ("external_group__system",)
    list_filter = ("external_group__system",)

    @admin.display(description=_("external system"), empty_value="-")
    def external_system(self, group: SupportGroup) -> str | None:
        external = getattr(group, "external_group", None)
        return external.system.system_id if external else None
