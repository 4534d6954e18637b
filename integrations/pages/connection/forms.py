"""The forms of a connection's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models import Change
from changes.queries.search import numbered
from changes.texts.lines import Line
from integrations.connections.document.source import LARGEST
from integrations.connections.trying import Occasion
from integrations.models.connections import SECRET_NAME

MOST_REPLAYED = 100


class DocumentForm(forms.Form):
    """The document, and why it is activated."""

    document = forms.CharField(
        label=gettext_lazy("Document"),
        required=False,
        strip=False,
        max_length=LARGEST,
        widget=forms.Textarea(attrs={"rows": 32, "class": "code", "spellcheck": "false", "wrap": "off"}),
        help_text=gettext_lazy("YAML. “All keys explained” above has the reference."),
    )
    reason = Line(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=500,
        help_text=gettext_lazy("Needed to activate. Kept with the revision, for those who ask later."),
    )

    # What the page was opened on: see views.ConnectionPage.opened_on().
    opened = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)

    def clean_document(self) -> str:
        # A browser sends CR LF. A line of the document then has the same number as in the editor.
        text: str = self.cleaned_data["document"].replace("\r\n", "\n").replace("\r", "\n")
        return text if not text or text.endswith("\n") else f"{text}\n"


class ActivationForm(DocumentForm):
    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        if not reason:
            raise ValidationError(_("Give a reason for activating it."))
        return reason


class TryForm(forms.Form):
    """Which change and operation to try the document with."""

    change = Line(
        label=gettext_lazy("Change"),
        max_length=22,
        help_text=gettext_lazy("Any change, by its number, such as CHG0000219 or 219."),
    )
    operation = forms.ChoiceField(label=gettext_lazy("Operation"), choices=Occasion.choices)

    def clean_change(self) -> Change:
        number = self.cleaned_data["change"]
        change = Change.objects.filter(numbered(number)).first()
        if change is None:
            told = _("There is no change %(number)s. Give a number such as CHG0000219 or 219.")
            raise ValidationError(told, params={"number": number})
        return change


class ReplayForm(forms.Form):
    count = forms.IntegerField(
        label=gettext_lazy("Latest operations"), initial=20, min_value=1, max_value=MOST_REPLAYED
    )


class SecretForm(forms.Form):
    """A secret by its name. It is written, and never shown."""

    name = Line(
        label=gettext_lazy("Name"),
        max_length=100,
        validators=[SECRET_NAME],
        widget=forms.TextInput(attrs={"list": "secret-names", "autocomplete": "off"}),
    )
    value = forms.CharField(
        label=gettext_lazy("Value"),
        required=False,
        strip=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 1, "autocomplete": "off", "spellcheck": "false", "class": "code secret"}),
        help_text=gettext_lazy("Never shown again. Empty: the secret is removed."),
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="secret_%s")

    def clean_value(self) -> str:
        return self.cleaned_data["value"].replace("\r\n", "\n")
