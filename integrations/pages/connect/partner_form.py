"""The form of the page "Connect a partner": all that one partner needs, in one place."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import QuerySet, TextChoices
from django.forms.models import modelform_factory
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from knox.models import AuthToken

from changes.models import SupportGroup
from changes.pages.fields import Text
from integrations.choices import Delivery
from integrations.connections.document import FaultyDocument, connection_of, faults_of
from integrations.connections.document.source import LARGEST
from integrations.connections.evaluation.connection import Connection
from integrations.models import ExternalSystem
from integrations.pages.connection.presets import presets, presets_told

# Before the name of a secret in the name of its field.
FIELD_OF = "secret_"
FAULTS_TOLD = 5
_GroupForm = modelform_factory(SupportGroup, fields=("name",))


class Kind(TextChoices):
    """How the partner is connected. A preset and a document of one's own are both for a mapped system."""

    PUSH = "push", gettext_lazy("Our API: we call the partner")
    PULL = "pull", gettext_lazy("Our API: the partner asks us")
    SMAX = "smax", gettext_lazy("SMAX: its adapter asks us")
    PRESET = "preset", gettext_lazy("The API of a program that we know")
    DOCUMENT = "document", gettext_lazy("Any other API, by a document of yours")

    @property
    def told(self) -> str:
        """For whom it is, in a sentence."""
        return str(
            {
                Kind.PUSH: _("The partner writes a small receiver: each operation is one POST to it."),
                Kind.PULL: _("The partner's program fetches its operations here. For a partner that takes no calls."),
                Kind.SMAX: _("The partner has OpenText SMAX, or an adapter written for it."),
                Kind.PRESET: _("Request Tracker, Redmine and others, by documents that we test with them."),
                Kind.DOCUMENT: _("You describe the calls to the partner's API in a document."),
            }[self]
        )

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.value) if self.value in Delivery.values else Delivery.MAPPED


def free_accounts() -> QuerySet[User]:
    """The accounts of partners that a new system can have: those that authorise no other system."""
    accounts = get_user_model().objects.filter(partner_account__isnull=False, authorized_systems=None)
    return accounts.filter(is_active=True, is_staff=False, is_superuser=False)


class Secret(forms.Textarea):
    """Of several lines, as a key may have. What was typed is never sent back to a page."""

    def format_value(self, value: object) -> None:
        return None


class PartnerForm(forms.ModelForm):
    """A system with its account and its groups, of which nothing is saved here: see registering.py.

    `is_to_adapt`: the document of a preset was put into the form just now, for the person to adapt.
    `is_of_another`: it was not, since it would replace what somebody wrote.
    """

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind of connection"), choices=Kind.choices, widget=forms.RadioSelect, initial=Kind.PUSH
    )
    preset = forms.ChoiceField(required=False, label=gettext_lazy("Program"))
    document = Text(
        required=False,
        label=gettext_lazy("Document"),
        max_length=LARGEST,
        widget=forms.Textarea(attrs={"rows": 18, "class": "code", "spellcheck": "false", "wrap": "off"}),
        help_text=gettext_lazy("YAML. It says which calls an operation becomes, and what their answers mean."),
    )
    # The preset that the document in the form was begun from.
    begun_from = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)
    account = forms.ModelChoiceField(
        get_user_model().objects.none(),
        required=False,
        label=gettext_lazy("Account"),
        empty_label=gettext_lazy("A new account"),
        help_text=gettext_lazy(
            "What the partner sends is done as this account. It opens no page and has no role. "
            "An account that exists can be chosen if it belongs to no system."
        ),
        # Two systems with one account see and do all that the other one may.
        error_messages={
            "invalid_choice": gettext_lazy(
                "This is not an account of a partner that belongs to no system. Choose another one, or a new account."
            )
        },
    )
    username = forms.CharField(
        required=False,
        strip=False,
        label=gettext_lazy("Name of the new account"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=gettext_lazy("Empty: it is named after the system, such as acme-integration."),
    )
    new_groups = Text(
        required=False,
        label=gettext_lazy("New groups"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("One in a line, such as ACME Networks. A change given to one goes to the partner."),
    )
    groups = forms.ModelMultipleChoiceField(
        SupportGroup.objects.none(),
        required=False,
        label=gettext_lazy("Groups that exist"),
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Only those without members, which belong to no partner yet."),
    )

    is_to_adapt = False
    is_of_another = False

    class Meta:
        model = ExternalSystem
        fields = ("system_id", "description", "endpoint_url")
        labels = {"system_id": gettext_lazy("System id"), "endpoint_url": gettext_lazy("Endpoint URL")}
        help_texts = {
            "system_id": gettext_lazy("The partner's name in each message, such as ACME. It cannot be changed later."),
            "description": gettext_lazy("For the people here."),
            "endpoint_url": gettext_lazy("Where we POST each operation, such as https://desk.acme.example/operations."),
        }
        widgets = {
            "endpoint_url": forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
            "system_id": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What is saved together with the system.
        self.new_user: User | None = None
        self.made_groups: list[SupportGroup] = []
        self.connection: Connection | None = None
        fields: dict[str, Any] = self.fields
        fields["system_id"].strip = False  # an identifier is not altered
        fields["preset"].choices = [("", _("Choose one")), *presets_told()]
        fields["account"].queryset = free_accounts().order_by("username")
        fields["groups"].queryset = SupportGroup.objects.filter(members=None, external_group=None).order_by("name")
        self._ask_for_secrets()

    # --- Kinds ---

    @property
    def kinds(self) -> list[tuple[Any, str]]:
        """The radio buttons, each with a sentence that explains it."""
        return [(radio, kind.told) for radio, kind in zip(self["kind"], Kind, strict=True)]

    @property
    def kind_chosen(self) -> Kind | None:
        chosen = self["kind"].value()
        return Kind(chosen) if chosen in Kind.values else None

    @property
    def is_mapped(self) -> bool:
        return self.kind_chosen in (Kind.PRESET, Kind.DOCUMENT)

    def _ask_for_secrets(self) -> None:
        """Adds a field for each secret that the document names."""
        if not self.is_bound or not self.is_mapped:
            return
        if self.kind_chosen == Kind.PRESET:
            self._begin_from_preset()
        if self.is_of_another:
            return
        try:
            self.connection = connection_of(Text(required=False).clean(self.data.get("document")))
        except FaultyDocument:
            return
        for name in sorted(self.connection.secret_names):
            self.fields[f"{FIELD_OF}{name}"] = forms.CharField(
                label=_("Secret %(name)s") % {"name": name},
                strip=False,
                max_length=20_000,
                widget=Secret(attrs={"rows": 1, "autocomplete": "off", "spellcheck": "false", "class": "code secret"}),
                help_text=_("Stored encrypted, and never shown again. Type it again if the form comes back."),
                error_messages={"required": _("The document names this secret: write it.")},
            )

    def _begin_from_preset(self) -> None:
        """Puts the document of the chosen preset into the form, if it is not there yet and would replace no work."""
        chosen = self.data.get("preset", "")
        if chosen not in presets() or self.data.get("begun_from") == chosen:
            return
        typed = self.data.get("document", "").split()
        if typed and typed not in (document.split() for document in presets().values()):
            self.is_of_another = True
            return
        sent = QueryDict(mutable=True)
        sent.update(self.data)
        sent["document"], sent["begun_from"] = presets()[chosen], chosen
        self.data = sent
        self.is_to_adapt = True

    @property
    def secret_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(FIELD_OF)]

    @property
    def secrets(self) -> dict[str, str]:
        names = [name for name in self.cleaned_data if name.startswith(FIELD_OF)]
        return {name.removeprefix(FIELD_OF): self.cleaned_data[name].replace("\r\n", "\n") for name in names}

    # --- Validation ---

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        kind = Kind(cleaned["kind"]) if cleaned.get("kind") else None
        if kind:
            self.instance.delivery = kind.delivery
        self._forget_hidden(kind, cleaned)
        if kind and kind.delivery == Delivery.MAPPED:
            self._clean_document(kind, cleaned)
        self._clean_groups(cleaned)
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if "system_id" in self.errors:
            # An id that is taken as it is written is taken in other capitals, too.
            self.errors.pop(NON_FIELD_ERRORS, None)
        # Only now it is known whether the system id, after which a new account is named, is right.
        self._clean_account(self.cleaned_data)

    def _forget_hidden(self, kind: Kind | None, cleaned: dict[str, Any]) -> None:
        """Empties the fields that the page hides for this kind, whatever is in them."""
        shown = {Kind.PUSH: {"endpoint_url"}, Kind.PRESET: {"preset", "document"}, Kind.DOCUMENT: {"document"}}
        for name in ("endpoint_url", "preset", "document"):
            if kind and name not in shown.get(kind, ()):
                cleaned[name] = ""
                self.errors.pop(name, None)
        self.errors.pop("begun_from", None)  # never shown, and only compared

    def _clean_document(self, kind: Kind, cleaned: dict[str, Any]) -> None:
        document = cleaned.get("document", "")
        if kind == Kind.PRESET and not cleaned.get("preset"):
            self.add_error("preset", _("Choose the program of the partner."))
        elif self.is_to_adapt:
            text = _("This is the preset as it comes. Adapt base_url and the tables at its top, then connect.")
            self.add_error("document", text)
        elif self.is_of_another:
            text = _("The preset would replace this document. Empty it to begin from the preset, or choose “%(kind)s”.")
            self.add_error("document", text % {"kind": Kind.DOCUMENT.label})
        elif "document" in self.errors:
            return
        elif not document.strip():
            self.add_error("document", _("Write or paste the document. “All keys explained” has the reference."))
        elif faults := faults_of(document):
            told = [f"{fault.line}:{fault.column} {fault.path}: {fault.message}" for fault in faults[:FAULTS_TOLD]]
            self.add_error("document", told)
        elif kind == Kind.PRESET and self.connection and self._is_as_it_comes(cleaned["preset"]):
            text = _("base_url is still the address of the example: write that of the partner's program.")
            self.add_error("document", text)

    def _is_as_it_comes(self, preset: str) -> bool:
        return self.connection is not None and self.connection.base_url == connection_of(presets()[preset]).base_url

    def _clean_account(self, cleaned: dict[str, Any]) -> None:
        if account := cleaned.get("account"):
            if cleaned.get("kind") == Kind.SMAX and AuthToken.objects.filter(user=account).exists():
                text = _("Its new password would revoke the API tokens that this account has. Choose a new account.")
                self.add_error("account", text)
            return
        name = cleaned.get("username")
        if "account" in self.errors or (not name and {"system_id", NON_FIELD_ERRORS} & {*self.errors}):
            return
        name = name or f"{cleaned['system_id'].lower()}-integration"
        # As in the administration: no other account may have this name, not even in other capitals.
        form: Any = AdminUserCreationForm({"username": name, "usable_password": "false"})
        if form.is_valid():
            self.new_user = form.save(commit=False)
        else:
            mend = _("Give another name, or choose the account above if it is that of this partner.")
            for errors in form.errors.values():
                self.add_error("username", [*map(str, errors), mend])

    def _clean_groups(self, cleaned: dict[str, Any]) -> None:
        names = dict.fromkeys(filter(None, (name.strip() for name in cleaned.get("new_groups", "").splitlines())))
        for name in names:
            form = _GroupForm({"name": name})
            if form.is_valid():
                self.made_groups.append(form.save(commit=False))
            else:
                told = [str(each) for errors in form.errors.values() for each in errors]
                self.add_error("new_groups", [f"{name}: {each}" for each in told])
        if not names and not cleaned.get("groups") and "new_groups" not in self.errors and "groups" not in self.errors:
            self.add_error("new_groups", _("Name at least one group: a change is given to the partner through it."))
        if len({group.name.casefold() for group in self.made_groups}) < len(self.made_groups):
            self.add_error("new_groups", _("Two of these names are the same."))
