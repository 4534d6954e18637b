"""The form to approve or deny the plan, on the page of a change."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from changes.choices import Decision
from changes.models import Approval
from changes.pages.fields import Text


class ApprovalForm(forms.ModelForm):
    decision = forms.ChoiceField(choices=Decision.choices, widget=forms.HiddenInput)
    comment = Text(
        label=gettext_lazy("Reason"),
        required=False,
        help_text=gettext_lazy("Needed to deny the plan."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    class Meta:
        model = Approval
        fields = ("decision", "comment")
