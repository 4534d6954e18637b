"""The forms of the exchange's admin."""

from datetime import datetime
from typing import Any

import yaml
from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables
from knox.models import AuthToken

from changes import audit
from changes.actor import Person
from changes.choices import ChangeType, Phase
from changes.pages.fields import Minute, Text
from changes.validators import validate_moment
from integrations.choices import Delivery, UnknownProperties
from integrations.leave import FIELDS, TARGETS, USUAL_CHANGE_TYPES, in_order
from integrations.models import ExternalSystem, OutgoingOperation, validate_secret
from integrations.outgoing import outbox
from integrations.setup import adapter_password, smax_settings
from integrations.setup.configuration_file import ConfigurationError, parse
from integrations.tokens.life import default_expiry
from integrations.transports import signing
from integrations.validators import validate_system_ids

REASON_LENGTH = OutgoingOperation._meta.get_field("skip_reason").max_length


class SomeOrAll(forms.MultipleChoiceField):
    """Check boxes for a list of values in the model. All boxes ticked are None in the model, which means all."""

    widget = forms.CheckboxSelectMultiple

    @property
    def known(self) -> list[str]:
        choices: Any = self.choices
        return [value for value, _label in choices]

    def prepare_value(self, value: Any) -> Any:
        return self.known if value is None else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)

    def clean(self, value: Any) -> Any:
        chosen = super().clean(value)
        return None if {*chosen} == {*self.known} else in_order(chosen, self.known)


class Names(forms.CharField):
    """Names in one line, separated by commas or spaces; a list in the model."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(self.prepare_value(initial)) != self.to_python(data)

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys((value or "").replace(",", " ").split()))


class Tables(forms.CharField):
    """A table for each of some names, written in YAML or JSON; a dict in the model."""

    widget = forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField mono", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True) if value else ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return (initial or {}) != self.to_python(data)
        except ValidationError:
            return True

    def to_python(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        try:
            return parse(value or "") or {}
        except ConfigurationError as error:
            raise ValidationError(str(error), code="invalid") from error


class ExternalSystemForm(forms.ModelForm):
    """A system, with write-only secrets.

    A new secret is typed or generated. The former secret keeps signing beside it until the rotation is ended.
    `names_systems`: whether the person may see other systems.
    """

    names_systems = False

    new_signing_secret = forms.CharField(
        required=False,
        label=_("New signing secret"),
        validators=[validate_secret],
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "vTextField"}),
        help_text=_("Leave empty to keep the secret. Written as whsec_ and 24 to 64 bytes in base64."),
    )
    generate_secret = forms.BooleanField(
        required=False,
        label=_("Generate a new secret"),
        help_text=_("The secret is shown once, after saving. Pass it on to the partner."),
    )
    end_rotation = forms.BooleanField(
        required=False,
        label=_("End the rotation"),
        help_text=_(
            "The former secret stops signing. Tick this together with a new secret to drop a leaked one at once."
        ),
    )

    # The settings of SMAX as they were entered, None if they were not on the form.
    smax: dict[str, Any] | None = None

    change_types = forms.MultipleChoiceField(
        required=False,
        label=_("Types of changes"),
        choices=ChangeType.choices,
        widget=forms.CheckboxSelectMultiple,
        initial=USUAL_CHANGE_TYPES,
        help_text=_("The types that it may give a change. A Standard change is approved beforehand."),
    )
    settable_fields = SomeOrAll(
        required=False,
        label=_("Fields"),
        help_text=_("The fields of a change that it may set. With all of them ticked, also those of later releases."),
    )
    transitions = SomeOrAll(
        required=False,
        label=_("Transitions"),
        help_text=_("The phases that it may move a change to. Cancel needs Abandon."),
    )
    relays_for = Names(
        required=False,
        label=_("Relays for"),
        validators=[validate_system_ids],
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("The ids of the systems whose operations it may pass on, separated by commas."),
    )

    smax_entity_types = Names(
        required=False,
        label=_("Entity types"),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
        help_text=_("What its adapter calls a change, such as Change or Incident; several separated by commas."),
    )
    smax_unknown_properties = forms.ChoiceField(
        required=False,
        label=_("Unknown properties"),
        choices=UnknownProperties.choices,
        widget=forms.RadioSelect,
        help_text=_("What happens to an operation with a property that a change does not have."),
    )
    smax_values = Tables(
        required=False,
        label=_("Values"),
        help_text=_(
            "Only where its adapter spells values in another way: for each property a table from our value to its "
            "own, in YAML or JSON, such as PhaseId: {Deploy: Execute}. Ours are still accepted."
        ),
    )
    new_password = forms.CharField(
        required=False,
        strip=False,
        label=_("New password"),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text=_(
            "With it and the name of the authorized user the adapter signs in. It opens no page. "
            "Leave empty to keep it. A new one revokes the API tokens of the account."
        ),
    )

    class Meta:
        model = ExternalSystem
        fields = (
            *("system_id", "description", "authorized_user", "delivery", "endpoint_url"),
            *("max_in_flight", "rate_limit", "enabled", "sends_markdown"),
            *("change_types", "settable_fields", "transitions", "relays_for"),
        )
        labels = {"rate_limit": _("Rate limit")}
        error_messages = {
            "max_in_flight": dict.fromkeys(
                ("required", "min_value"), _("At least one request must be allowed at a time.")
            ),
            "rate_limit": {"min_value": _("Give at least 1 per minute, or leave the field empty for no limit.")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "system_id" in self.fields:
            system_id: Any = self.fields["system_id"]
            system_id.strip = False  # an identifier is not altered
        for name in {"max_in_flight", "rate_limit"} & {*self.fields}:
            self.fields[name].widget.attrs["min"] = 1
        fields: dict[str, Any] = self.fields
        if "delivery" in fields and self.instance.pk and (waiting := outbox.unsettled(self.instance).count()):
            told = ngettext(
                "%(count)s operation waits for it. If it becomes push, that is sent at once.",
                "%(count)s operations wait for it. If it becomes push, they are sent at once.",
                waiting,
            )
            fields["delivery"].help_text = told % {"count": waiting}
        for name, choices in (("settable_fields", settable()), ("transitions", targets())):
            if name in fields:
                fields[name].choices = choices
        for name, value in smax_settings.whole(self.instance.smax).items():
            self.initial.setdefault(f"smax_{name}", value)
        if "authorized_user" in self.fields:
            partners = Q(partner_account__isnull=False, is_active=True) | Q(pk=self.instance.authorized_user_id)
            authorized_user: Any = self.fields["authorized_user"]
            authorized_user.queryset = get_user_model().objects.filter(partners).order_by("username")

    @method_decorator(sensitive_variables("secret", "cleaned"))
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        secret = cleaned.get("new_signing_secret")
        if secret and cleaned.get("generate_secret"):
            self.add_error("generate_secret", _("Either type a new secret or generate one."))
        if secret and secret == self.instance.signing_secret:
            self.add_error("new_signing_secret", _("This secret is already in use."))
        self._clean_smax(cleaned)
        self._clean_password(cleaned)
        return cleaned

    def clean_authorized_user(self) -> Any:
        """Two systems with one account see and do all that the other one may. One that shares already may stay so."""
        user = self.cleaned_data["authorized_user"]
        others = ExternalSystem.objects.filter(authorized_user=user).exclude(pk=self.instance.pk)
        if user.pk == self.instance.authorized_user_id or not others.exists():
            return user
        if self.names_systems:
            named = ", ".join(others.order_by("system_id").values_list("system_id", flat=True))
            told = gettext("This is the account of %(systems)s. Choose another one, or make one for this system.")
            raise ValidationError(told % {"systems": named}, code="shared")
        told = gettext("This is the account of another system. Choose another one, or make one for this system.")
        raise ValidationError(told, code="shared")

    def _clean_smax(self, cleaned: dict[str, Any]) -> None:
        """Puts the three fields of SMAX together, and checks them, whatever the delivery."""
        names = {name: f"smax_{name}" for name in smax_settings.whole({})}
        if not {*names.values()} <= {*cleaned}:
            return  # not on this form, or wrong in itself
        smax = smax_settings.stored({name: cleaned[field] for name, field in names.items()})
        for path, message in smax_settings.faults(smax):
            place = ".".join(path[1:])
            # The position in a line of names says less than the name, which the message has.
            told = f"{place}: {message}" if place and path[0] == "values" else message
            self.add_error(names[path[0]], told)
        self.smax = smax

    @method_decorator(sensitive_variables("password", "cleaned"))
    def _clean_password(self, cleaned: dict[str, Any]) -> None:
        password, user = cleaned.get("new_password"), cleaned.get("authorized_user")
        if password and user is not None and user.check_password(password):
            password = cleaned["new_password"] = ""  # as it is: nothing is revoked
        if not password or user is None:
            return
        if cleaned.get("delivery") != Delivery.SMAX:
            text = _("Only the adapter of an SMAX signs in with a password. Choose that delivery.")
            self.add_error("new_password", text)
            return
        try:
            adapter_password.check(user, password)
        except ValidationError as error:
            self.add_error("new_password", error)

    def replace_smax(self) -> list[str]:
        """Sets the entered settings of SMAX on the instance. Returns the names of the changed fields."""
        if self.smax is None or self.smax == self.instance.smax:
            return []
        self.instance.smax = self.smax
        return ["smax"]

    @method_decorator(sensitive_variables("secret", "before"))
    def replace_secrets(self) -> list[str]:
        """Sets the entered or generated secrets on the instance. Returns the names of the changed fields."""
        system = self.instance
        before = {name: getattr(system, name) for name in ("signing_secret", "previous_signing_secret")}
        secret = self.cleaned_data.get("new_signing_secret")
        if self.cleaned_data.get("generate_secret"):
            secret = signing.new_secret()
        if secret:
            system.previous_signing_secret, system.signing_secret = system.signing_secret, secret
        if self.cleaned_data.get("end_rotation"):
            system.previous_signing_secret = ""
        return [name for name, value in before.items() if getattr(system, name) != value]


def settable() -> list[tuple[str, str]]:
    """The fields that a partner can set, with their labels in the language of the page."""
    return [(name, audit.label(name)) for name in FIELDS]


def targets() -> list[tuple[str, str]]:
    return [(target, str(Phase(target).label)) for target in TARGETS]


class ReasonForm(forms.Form):
    """Why operations are skipped."""

    reason = Text(
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": _("Give a reason for skipping.")},
    )

    def clean_reason(self) -> str:
        return self.cleaned_data["reason"].strip()


class StartForm(ReasonForm):
    """Decides, when a system is enabled or resumed, whether its waiting operations are sent or skipped."""

    SEND, SKIP = "send", "skip"

    decision = forms.ChoiceField(choices=[(SEND, _("Send")), (SKIP, _("Skip"))])
    # Only operations recorded up to this moment are skipped: the page did not show later ones.
    shown_until = forms.DateTimeField(
        validators=[validate_moment], error_messages={"required": _("Reload this page to see what would be skipped.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("reason", "shown_until"):
            self.fields[name].required = self.data.get("decision") == self.SKIP


class TokenForm(forms.ModelForm):
    """A new token, for a user for whom the creator may create one."""

    expiry = Minute(
        required=False,
        label=_("Expires"),
        initial=default_expiry,
        help_text=_("Its user and the integration administrators are told 14 days before, if this server sends mail."),
    )
    has_no_end = forms.BooleanField(
        required=False,
        label=_("No end"),
        help_text=_("It is valid until it is revoked, whatever time stands above. Only for what cannot be renewed."),
    )

    class Meta:
        model = AuthToken
        fields = ("user", "expiry")

    @staticmethod
    def users_for(creator: Person) -> QuerySet[Any]:
        """The users for whom `creator` may create tokens: all for a superuser, else themselves and partners' users."""
        users = get_user_model().objects.filter(is_active=True).order_by("username")
        if creator.is_superuser:
            return users
        partners = Q(authorized_systems__isnull=False, is_staff=False, is_superuser=False)
        return users.filter(partners | Q(pk=creator.pk)).distinct()

    def clean_expiry(self) -> datetime | None:
        expiry = self.cleaned_data["expiry"]
        if expiry is not None and expiry <= timezone.now():
            raise ValidationError(_("This time has passed already."), code="past")
        return expiry

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("has_no_end"):
            cleaned["expiry"] = None
        elif "expiry" in cleaned and cleaned["expiry"] is None:
            self.add_error("expiry", _("Give a time, or tick “No end”."))
        return cleaned
