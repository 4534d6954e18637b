"""The forms of the change admin."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AdminPasswordChangeForm, SetUnusablePasswordMixin
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import localize
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes import audit
from changes.exceptions import StaleChange
from changes.models import Attachment, Change
from changes.pages.edit.forms import LINES, TEXTS
from changes.pages.fields import Text, keep_unedited
from changes.queries.people import choosable
from changes.texts.file_names import name_from_browser
from changes.texts.lines import Line

# Any number of 18 digits fits into 64 bits.
LONGEST_KEY = 18


class ChangeForm(forms.ModelForm):
    """Refuses a record that somebody else saved since the page was opened, and says what they changed."""

    opened_version = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = Change
        fields: tuple[str, ...] = ()
        field_classes = {**dict.fromkeys(TEXTS, Text), **dict.fromkeys(LINES, Line)}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "opened_version" in self.fields:
            self._offer_version()
        if "requested_by" in self.fields:
            requested_by: Any = self.fields["requested_by"]
            requested_by.queryset = choosable(Q(pk=self.instance.requested_by_id))

    def _offer_version(self) -> None:
        if self.instance.pk is None:
            del self.fields["opened_version"]
        else:
            self.fields["opened_version"].initial = self.instance.version

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        opened = cleaned.get("opened_version")
        if self.instance.pk is None or opened is None:
            return cleaned
        if opened != self.instance.version:
            raise ValidationError(_stale(self.instance, opened), code="stale")
        keep_unedited(self, (self.cleaned_data.keys() | {*self.errors}) - {"opened_version", *self.changed_data})
        return self.cleaned_data


def _stale(change: Change, opened_version: int) -> list[str]:
    edits = change.edits_since(opened_version)
    refusal = StaleChange(change.number, change.version, edits)
    return [
        _("%(refusal)s Your edits were not saved. Reload this page to edit the current change.") % {"refusal": refusal},
        *(
            _("%(field)s was changed from %(old)s to %(new)s by %(user)s.")
            % {
                "field": edit.label,
                "old": _quoted(edit.old),
                "new": _quoted(edit.new),
                "user": edit.user or _("somebody"),
            }
            for edit in audit.edits_in_words(edits)
        ),
    ]


def _quoted(value: Any) -> str:
    if value in ("", None):
        return _("not set")
    return f"“{localize(timezone.localtime(value)) if hasattr(value, 'tzinfo') else value}”"


class ChosenRecords(forms.ModelMultipleChoiceField):
    """Refuses a key that is too long for the database as an invalid choice, like any other unknown key."""

    def clean(self, value: object) -> Any:
        for key in value if isinstance(value, list | tuple) else ():
            if len(str(key)) > LONGEST_KEY:
                raise ValidationError(
                    self.error_messages["invalid_choice"], code="invalid_choice", params={"value": key}
                )
        return super().clean(value)


class PasswordForm(AdminPasswordChangeForm):
    """Django's form, with a help text that is translated."""

    usable_password_help_text: Any = format_lazy(
        '{}<ul id="id_unusable_warning" class="messagelist"><li class="warning">{}</li></ul>',
        SetUnusablePasswordMixin.usable_password_help_text,
        gettext_lazy("If disabled, the current password for this user will be lost."),
    )


class AttachmentForm(forms.ModelForm):
    """Takes the name and the type of the file from the upload."""

    file = forms.FileField(max_length=255)

    class Meta:
        model = Attachment
        fields = ("file",)

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        name = name_from_browser(file)
        Attachment._meta.get_field("file_name").run_validators(name)
        self.instance.file_name = name
        self.instance.content_type = (file.content_type or "application/octet-stream")[:100]
        return file
