"""Users, their roles, and support groups."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import ManyToManyField, Q, QuerySet
from django.forms import CheckboxSelectMultiple
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.choices import Role
from changes.models import SupportGroup
from changes.pages.sign_in.confirming import ConfirmedAdmin, ask_again
from changes.pages.sign_in.second_factor import take_away
from changes.queries.people import choosable
from changes.security_log.recording import unrecorded

from .forms import ChosenRecords, PasswordForm
from .readonly import PlainChoices

CHOSEN: Any = {ManyToManyField: {"form_class": ChosenRecords}}

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(ConfirmedAdmin, PlainChoices, UserAdmin):
    """Users. `is_staff` follows from the roles, so it is read-only. Users are not deleted, since records name them."""

    list_display = ("username", "first_name", "last_name", "role_names", "is_staff", "is_superuser", "is_active")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    readonly_fields = ("staff", "last_login", "date_joined")
    actions = ("take_away_second_factor",)
    filter_horizontal = ()
    formfield_overrides = CHOSEN
    change_password_form = PasswordForm
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
        (
            _("Roles"),
            {
                "fields": ("groups", "staff", "is_superuser", "is_active"),
                "description": _(
                    "A user of a partner's system holds no role. To shut a user out, untick Active: "
                    "users are not deleted, because changes and their history name them."
                ),
            },
        ),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        # Readers do not see even the shortened password hash.
        return [(None, {"fields": ("username",)}), *fieldsets[1:]]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs |= {"widget": CheckboxSelectMultiple, "label": _("Roles"), "help_text": ""}
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only superusers give roles. Otherwise a permission to edit users would contain all others."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "groups", "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser
        return not is_above and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied
        return ask_again(request) or super().user_change_password(request, id, form_url)

    @admin.action(description=_("Remove the second factor, and sign out"), permissions=["change"])
    def take_away_second_factor(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """For people who lost it. Their history shows who did it."""
        for user in users:
            if not self.has_change_permission(request, user):
                text = gettext("You may not change %(user)s.")
                self.message_user(request, text % {"user": user}, messages.ERROR)
            elif take_away(user, request):
                self.log_change(request, user, gettext("Second factor removed"))
                text = gettext("The second factor of %(user)s is removed. Their sessions are ended.")
                self.message_user(request, text % {"user": user}, messages.SUCCESS)
            else:
                self.message_user(request, gettext("%(user)s has no second factor.") % {"user": user}, messages.WARNING)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        user = form.instance
        # The receiver of role changes leaves superusers alone. They are staff without a role.
        is_staff = user.is_superuser or user.groups.filter(name__in=Role.values).exists()
        if user.is_staff != is_staff:
            user.is_staff = is_staff
            with unrecorded():  # it follows from the role or the superuser rights, which are recorded
                user.save(update_fields=["is_staff"])

    @admin.display(description=_("roles"))
    def role_names(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all()))

    @admin.display(description=_("staff"))
    def staff(self, user: User) -> str:
        if user.is_staff:
            return gettext("Yes: anybody who holds a role or is a superuser is staff.")
        return gettext("No: only somebody who holds a role or is a superuser is staff.")


@admin.register(Group)
class RoleAdmin(ConfirmedAdmin, GroupAdmin):
    """Roles with their permissions. The product's four roles keep their names, since the code uses these."""

    list_display = ("name", "people")
    formfield_overrides = CHOSEN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).prefetch_related("permissions__content_type", "user_set")

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("name",) if obj is not None and obj.name in Role.values else ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Only superusers: who edits roles could give any permission to their own."""
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        own = obj is not None and obj.name in Role.values
        return not own and request.user.is_superuser

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {"title": _("Roles"), **(extra_context or {})})

    @admin.display(description=_("people"))
    def people(self, group: Group) -> str:
        return ", ".join(sorted(user.get_username() for user in group.user_set.all()))


@admin.register(SupportGroup)
class SupportGroupAdmin(PlainChoices, admin.ModelAdmin):
    """Teams that can own changes."""

    list_display = ("name", "people")
    search_fields = ("name",)
    filter_horizontal = ("members",)
    formfield_overrides = CHOSEN

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "members" and request.resolver_match:
            group = request.resolver_match.kwargs.get("object_id")
            of_group = SupportGroup.members.through.objects.filter(supportgroup=group).values("user")
            kwargs["queryset"] = choosable(Q(pk__in=of_group) if group else None)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SupportGroup]:
        return super().get_queryset(request).prefetch_related("members")

    @admin.display(description=_("members"))
    def people(self, group: SupportGroup) -> str:
        return ", ".join(sorted(user.get_username() for user in group.members.all()))
