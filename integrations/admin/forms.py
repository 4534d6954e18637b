"""The forms of the exchange's administration."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken

from changes.actor import Person
from changes.pages.fields import Minute
from changes.validators import validate_moment
from integrations.models import ExternalSystem, OutgoingOperation, validate_secret
from integrations.transports import signing

REASON_LENGTH = OutgoingOperation._meta.get_field("skip_reason").max_length


class ExternalSystemForm(forms.ModelForm):
    """Secrets go in here and never come out: a new one is typed or generated, and the former signs on beside it."""

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
        help_text=_("It is shown once, after saving, for the partner."),
    )
    end_rotation = forms.BooleanField(
        required=False,
        label=_("End the rotation"),
        help_text=_(
            "The former secret signs no more. Tick it together with a new secret to drop a leaked one at once."
        ),
    )

    class Meta:
        model = ExternalSystem
        fields = (
            *("system_id", "description", "authorized_user", "delivery", "endpoint_url"),
            *("max_in_flight", "rate_limit", "enabled", "sends_markdown"),
        )
        labels = {"rate_limit": _("Rate limit")}
        error_messages = {
            "max_in_flight": dict.fromkeys(
                ("required", "min_value"), _("At least one request must be allowed at a time.")
            ),
            "rate_limit": {"min_value": _("Give at least 1 a minute. Left empty, there is no limit.")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "system_id" in self.fields:
            system_id: Any = self.fields["system_id"]
            system_id.strip = False  # an identifier is not altered
        for name in {"max_in_flight", "rate_limit"} & {*self.fields}:
            self.fields[name].widget.attrs["min"] = 1
        if "authorized_user" in self.fields:
            partners = Q(is_staff=False, is_superuser=False, is_active=True) | Q(pk=self.instance.authorized_user_id)
            authorized_user: Any = self.fields["authorized_user"]
            authorized_user.queryset = get_user_model().objects.filter(partners).order_by("username")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        secret = cleaned.get("new_signing_secret")
        if secret and cleaned.get("generate_secret"):
            self.add_error("generate_secret", _("Either type a new secret or generate one."))
        if secret and secret == self.instance.signing_secret:
            self.add_error("new_signing_secret", _("This is the secret that signs already."))
        return cleaned

    def replace_secrets(self) -> list[str]:
        """Puts what was entered into the instance. Returns the names of the fields that it altered."""
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


class ReasonForm(forms.Form):
    """Why operations are skipped."""

    reason = forms.CharField(
        max_length=REASON_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": _("Give a reason for skipping.")},
    )


class StartForm(ReasonForm):
    """What becomes of the operations that wait when a system takes up again."""

    SEND, SKIP = "send", "skip"

    decision = forms.ChoiceField(choices=[(SEND, _("Send")), (SKIP, _("Skip"))])
    # Those recorded after the page was shown are not what the person decided about.
    shown_until = forms.DateTimeField(
        validators=[validate_moment], error_messages={"required": _("Open this page anew: it says what is skipped.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("reason", "shown_until"):
            self.fields[name].required = self.data.get("decision") == self.SKIP


class TokenForm(forms.ModelForm):
    """A new token, for a user that whoever makes it may act for."""

    expiry = Minute(
        required=False,
        label=_("Expires"),
        help_text=_("Leave empty for a token that is good until it is revoked."),
    )

    class Meta:
        model = AuthToken
        fields = ("user", "expiry")

    @staticmethod
    def users_for(creator: Person) -> QuerySet[Any]:
        """A superuser makes tokens for anybody; others for themselves and for partners, whose users are not staff."""
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
