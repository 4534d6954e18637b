"""The forms of bulk actions on changes, filled in before the preview."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext_lazy as _

from changes.choices import CompletionCode, Visibility
from changes.models import SupportGroup
from changes.pages.groups import grouped
from changes.validators import TEXT_MAX_LENGTH, validate_text

NO_GROUP = "none"


class ActionForm(forms.Form):
    """The form of one action. `parameters()` returns the values to store in the job, as JSON."""

    def parameters(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class ReassignForm(ActionForm):
    group = forms.ChoiceField(
        label=_("New owning group"),
        error_messages={"required": _("Choose a group, or No group."), "invalid_choice": _("There is no such group.")},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = dict(SupportGroup.objects.values_list("pk", "name"))
        groups = grouped((str(pk), pk, name) for pk, name in self.names.items())
        field: Any = self.fields["group"]
        field.choices = [(NO_GROUP, _("No group")), *groups]

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The choices by their headings, for a button each. Those without a heading come first."""
        field: Any = self.fields["group"]
        plain: list[tuple[str, str]] = []
        headed: list[tuple[str, list[tuple[str, str]]]] = []
        for value, name in field.choices:
            if isinstance(name, list | tuple):
                headed.append((value, list(name)))
            else:
                plain.append((value, name))
        return [("", plain), *headed]

    def parameters(self) -> dict[str, Any]:
        chosen = self.cleaned_data["group"]
        if chosen == NO_GROUP:
            return {"group": None, "group_name": None}
        return {"group": int(chosen), "group_name": self.names[int(chosen)]}


class CommentForm(ActionForm):
    body = forms.CharField(
        label=_("Comment"),
        widget=forms.Textarea(attrs={"rows": 4}),
        validators=[validate_text, MaxLengthValidator(TEXT_MAX_LENGTH)],
        error_messages={"required": _("Write something first.")},
    )
    visibility = forms.ChoiceField(
        label=_("Visibility"),
        choices=[(Visibility.PUBLIC, _("Public")), (Visibility.PRIVATE, _("Private"))],
        widget=forms.RadioSelect,
        initial=Visibility.PUBLIC,
    )

    def clean_body(self) -> str:
        return self.cleaned_data["body"].replace("\r\n", "\n").replace("\r", "\n")


class ApproveForm(ActionForm):
    comment = forms.CharField(
        label=_("Comment"),
        required=False,
        help_text=_("Optional. It is kept with each approval, and never sent to partners."),
        widget=forms.Textarea(attrs={"rows": 2}),
        validators=[validate_text, MaxLengthValidator(TEXT_MAX_LENGTH)],
    )

    def clean_comment(self) -> str:
        return self.cleaned_data["comment"].replace("\r\n", "\n").replace("\r", "\n")


class AbandonForm(ActionForm):
    code = forms.ChoiceField(
        label=_("Completion code"),
        choices=[
            (CompletionCode.WITHDRAWN, CompletionCode.WITHDRAWN.label),
            (CompletionCode.REJECTED, CompletionCode.REJECTED.label),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose Withdrawn or Rejected.")},
    )
