"""Users and support groups: extends changes.admin with authorized users and external systems."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

from changes.admin.people import PersonAdmin, SupportGroupAdmin
from changes.admin.readonly import PlainChoices
from changes.choices import Role
from changes.models import SupportGroup
from integrations.models import ExternalGroup, PartnerAccount
from integrations.models.accounts import is_partner_account
from integrations.setup.separation import no_role

from .protection import CountsWhatProtects

admin.site.unregister(User)
admin.site.unregister(SupportGroup)


def tokens_revoked(count: int) -> str:
    """A sentence with the placeholders `count` and `user`."""
    return ngettext("One API token of %(user)s is revoked.", "%(count)s API tokens of %(user)s are revoked.", count)


class NewUserForm(AdminUserCreationForm):
    """Says once and for all whether the user is the account of a partner's system."""

    is_partner_account = forms.BooleanField(
        required=False,
        label=_("Account of a partner's system"),
        help_text=_("It can become the authorized user of an external system, and never holds a role. This is final."),
    )


class PartnerUserForm(UserChangeForm):
    """Refuses roles and superuser rights for the account of a partner."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not (is_partner_account(self.instance) or self.instance.authorized_systems.exists()):
            return cleaned
        refusal = no_role(self.instance)
        if any(role.name in Role.values for role in cleaned.get("groups", ())):
            self.add_error("groups", ValidationError(refusal, code="authorized_user"))
        if cleaned.get("is_superuser"):
            self.add_error("is_superuser", ValidationError(refusal, code="authorized_user"))
        return cleaned


@admin.register(User)
class UserAdmin(PersonAdmin):
    form = PartnerUserForm
    add_form = NewUserForm
    add_fieldsets = (
        *PersonAdmin.add_fieldsets,
        (_("Partner"), {"fields": ("is_partner_account",)}),
    )
    list_display: Any = (*PersonAdmin.list_display, "is_partner", "speaks_for")
    readonly_fields: ClassVar[Any] = (*PersonAdmin.readonly_fields, "is_partner", "speaks_for", "tokens")
    fieldsets: ClassVar[Any] = (
        *PersonAdmin.fieldsets[:-1],
        (_("API tokens"), {"fields": ("tokens",)}),
        (_("Partner"), {"fields": ("is_partner", "speaks_for")}),
        PersonAdmin.fieldsets[-1],
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users = super().get_queryset(request)
        return users.select_related("partner_account").prefetch_related("authorized_systems")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        with self._saying_what_is_revoked(request, obj):
            super().save_model(request, obj, form, change)
        if not change and form.cleaned_data.get("is_partner_account"):
            PartnerAccount.objects.create(user=obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        with self._saying_what_is_revoked(request, self.get_object(request, id)):
            return super().user_change_password(request, id, form_url)

    @contextmanager
    def _saying_what_is_revoked(self, request: HttpRequest, user: User | None) -> Iterator[None]:
        """Says how many tokens of `user` were revoked meanwhile: integrations/tokens/revoking.py."""
        before = AuthToken.objects.filter(user=user).count() if user and user.pk else 0
        yield
        if before and user and (revoked := before - AuthToken.objects.filter(user=user).count()) > 0:
            self.message_user(request, tokens_revoked(revoked) % {"count": revoked, "user": user}, messages.WARNING)

    @admin.display(description=_("API tokens"))
    def tokens(self, user: User) -> str:
        count = AuthToken.objects.filter(user=user).count()
        if not count:
            return gettext("No token")
        text = ngettext(
            "One. It is revoked, for good, if Active is unticked or the password is set anew.",
            "%(count)s. They are revoked, for good, if Active is unticked or the password is set anew.",
            count,
        )
        return text % {"count": count}

    @admin.display(description=_("account of a partner"), boolean=True)
    def is_partner(self, user: User) -> bool:
        return hasattr(user, "partner_account")

    @admin.display(description=_("authorized user of"))
    def speaks_for(self, user: User) -> str:
        return ", ".join(system.system_id for system in user.authorized_systems.all())


class ExternalGroupFormSet(BaseInlineFormSet):
    """Refuses a group that would have both members and an external system after the save."""

    def clean(self) -> None:
        super().clean()
        kept = [form.instance for form in self.forms if form not in self.deleted_forms and form.instance.system_id]
        members: Any = getattr(self.instance, GroupAdmin.MEMBERS, ())
        if kept and members:
            raise ValidationError(kept[0].either_or(), code="either_or")


class ExternalGroupInline(PlainChoices, admin.StackedInline):
    """The external system that a group belongs to. Giving a change to the group gives it to that partner."""

    model = ExternalGroup
    formset = ExternalGroupFormSet
    verbose_name = verbose_name_plural = _("external system")
    fields = ("system",)


@admin.register(SupportGroup)
class GroupAdmin(CountsWhatProtects, SupportGroupAdmin):
    inlines = (ExternalGroupInline,)
    list_display: Any = ("name", "external_system", "people")
    list_select_related = ("external_group__system",)
    list_filter = ("external_group__system",)
    # Attribute of a group that is being saved: the members that the form chose.
    MEMBERS = "_chosen_members"

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        group = super().save_form(request, form, change)
        setattr(group, self.MEMBERS, form.cleaned_data.get("members", ()))
        return group

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Saves the external system first if it is removed, since a group that still has one refuses members."""
        if any(formset.deleted_forms for formset in formsets):
            for formset in formsets:
                self.save_formset(request, form, formset, change=change)
            form.save_m2m()
        else:
            super().save_related(request, form, formsets, change)

    @admin.display(description=_("external system"), empty_value="-")
    def external_system(self, group: SupportGroup) -> str | None:
        external = getattr(group, "external_group", None)
        return external.system.system_id if external else None
