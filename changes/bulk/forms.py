"""The forms of bulk actions on changes, filled in before the preview."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.choices import CompletionCode, Visibility
from changes.models import Change, SupportGroup
from changes.pages.fields import Text
from changes.pages.groups import grouped
from changes.validators import TEXT_MAX_LENGTH, validate_text

NO_GROUP = "none"
# More groups than that do not get a button each. Then those get one that own most of the latest changes.
MOST_BUTTONS, USED_MOST, LATEST = 8, 6, 1000


class ActionForm(forms.Form):
    """The form of one action. `parameters()` returns the values to store in the job, as JSON."""

    def parameters(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class ReassignForm(ActionForm):
    """A button for each group; if there are many, for those that are used most, and a list of all."""

    group = forms.ChoiceField(
        label=_("New owning group"), required=False, error_messages={"invalid_choice": _("There is no such group.")}
    )
    other = forms.ChoiceField(
        label=_("All groups"), required=False, error_messages={"invalid_choice": _("There is no such group.")}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = dict(SupportGroup.objects.values_list("pk", "name"))
        groups = grouped((str(pk), pk, name) for pk, name in self.names.items())
        fields: dict[str, Any] = self.fields
        fields["group"].choices = [(NO_GROUP, _("No group")), *groups]
        self.has_many = len(self.names) > MOST_BUTTONS
        if self.has_many:
            fields["other"].choices = [("", _("Choose a group")), *fields["group"].choices]
        else:
            del fields["other"]

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The choices for a button each, by their headings. Those without a heading come first."""
        field: Any = self.fields["group"]
        plain: list[tuple[str, str]] = []
        headed: list[tuple[str, list[tuple[str, str]]]] = []
        for value, name in field.choices:
            if isinstance(name, list | tuple):
                headed.append((value, list(name)))
            else:
                plain.append((value, name))
        if self.has_many:
            return self._used_most([*plain, *chain(*(some for _heading, some in headed))])
        return [("", plain), *headed]

    def _used_most(self, choices: list[tuple[str, str]]) -> list[tuple[str, list[tuple[str, str]]]]:
        latest = Change.objects.order_by("-pk").values_list("owning_group", flat=True)[:LATEST]
        names = dict(choices)
        used = Counter(str(key) for key in latest if str(key) in names).most_common(USED_MOST)
        return [(gettext("Used most"), [(key, names[key]) for key, _count in used])] if used else []

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        # A button that was pressed says more than what the list beside it shows.
        cleaned["group"] = cleaned.get("group") or cleaned.get("other") or ""
        if not cleaned["group"] and not self.errors:
            self.add_error("group", _("Choose a group, or No group."))
        return cleaned

    def parameters(self) -> dict[str, Any]:
        chosen = self.cleaned_data["group"]
        if chosen == NO_GROUP:
            return {"group": None, "group_name": None}
        return {"group": int(chosen), "group_name": self.names[int(chosen)]}


class CommentForm(ActionForm):
    body = Text(
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
        return self.cleaned_data["body"].strip()


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
