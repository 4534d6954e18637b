"""The forms of the pages. Rules are the models'; a form says beside the field what a model refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from .choices import ChangeType, CompletionCode, Decision, Impact, Phase, Risk, Urgency
from .exceptions import ChangeRefused, ConditionsUnmet, ReadOnlyChange, StaleChange
from .models import Approval, Change

LINES = ("title", "category", "service")
TIMES = ("planned_start", "planned_end", "actual_start", "actual_end")
TEXTS = ("description", "reason", "justification", "implementation_plan", "backout_plan")


class Text(forms.CharField):
    """Text whose line ends a browser may spell in its own way without that being an edit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n").replace("\r", "\n")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(initial), data)


class Line(forms.CharField):
    """One line without spaces around it. Those that the stored value has are no edit."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(initial), data)


class Minute(forms.DateTimeField):
    """A time to the minute, in the current time zone. Seconds that the stored value has are no edit."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "60"}, format="%Y-%m-%dT%H:%M")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"], **kwargs)

    def has_changed(self, initial: Any, data: Any) -> bool:
        if isinstance(initial, datetime):
            initial = initial.replace(second=0, microsecond=0)
        return super().has_changed(initial, data)


def _verbatim(choices: Any, empty: str = "") -> list[tuple[str, str]]:
    values = [(value, value) for value in choices.values]
    return [("", empty), *values] if empty else values


class PersonChoice(forms.ModelChoiceField):
    def label_from_instance(self, person: Any) -> str:
        name = person.get_full_name()
        return f"{person.get_username()} ({name})" if name else person.get_username()


class ChangeForm(forms.ModelForm):
    """Creates or edits a change. `base` holds the values that the person saw, when the row has moved on since.

    A field that the person did not touch keeps what the row has now, so a save on top of somebody else's never
    puts an older value back.
    """

    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Change
        fields = (
            "title",
            "change_type",
            "category",
            "service",
            "description",
            "reason",
            "justification",
            "business_impact",
            "urgency",
            "risk",
            "requested_by",
            "owning_group",
            "implementation_plan",
            "backout_plan",
            "planned_start",
            "planned_end",
            "actual_start",
            "actual_end",
            "completion_code",
        )
        field_classes = {
            **dict.fromkeys(LINES, Line),
            **dict.fromkeys(TEXTS, Text),
            **dict.fromkeys(TIMES, Minute),
            "requested_by": PersonChoice,
        }
        error_messages = {"title": {"required": "Give the change a title."}}
        help_texts = {
            "change_type": "Fixed once the change has left Log.",
            "requested_by": "May not approve this change. Fixed once it has left Log.",
            "owning_group": "The group that holds the change now.",
            "completion_code": "Needed to close. Withdrawn or Rejected are for changes that are abandoned.",
            "actual_start": "Set when the change enters Deploy, unless it is set before.",
            "actual_end": "Set when the change leaves Deploy, unless it is set before.",
        }

    def __init__(self, data: Any = None, *, instance: Change, base: Mapping[str, Any] | None = None) -> None:
        initial = {"version": instance.version, **(base or {})}
        super().__init__(data, instance=instance, initial=initial)
        people = Q(is_active=True) | Q(pk=instance.requested_by_id)
        fields: dict[str, Any] = self.fields
        fields["requested_by"].queryset = get_user_model().objects.filter(people).order_by("username")
        for name, choices, empty in (
            ("change_type", ChangeType, ""),
            ("business_impact", Impact, ""),
            ("urgency", Urgency, ""),
            ("risk", Risk, "Not set"),
            ("completion_code", CompletionCode, "Not set"),
        ):
            fields[name].choices = _verbatim(choices, empty)
        fields["owning_group"].empty_label = "No group"
        fields["requested_by"].empty_label = "Nobody yet"
        for name in TIMES:
            self.fields[name].label = f"{self.fields[name].label} ({timezone.get_current_timezone_name()})"
        for name in TEXTS:
            self.fields[name].widget.attrs["rows"] = 6 if name.endswith("plan") else 4
        if instance.pk is None:
            del self.fields["version"]
        elif instance.phase != Phase.LOG:
            self.fields["change_type"].disabled = self.fields["requested_by"].disabled = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._check_order("planned_start", "planned_end", "Planned end must be after planned start.", may_equal=False)
        self._check_order("actual_start", "actual_end", "Actual end must not be before actual start.", may_equal=True)
        if self.instance.pk is not None:
            for name in {*self.Meta.fields} - {*self.changed_data}:
                cleaned[name] = getattr(self.instance, name)
        return cleaned

    def _check_order(self, start: str, end: str, message: str, *, may_equal: bool) -> None:
        """Said together with all other errors; the record itself would name only the first that it meets."""
        first, last = self.cleaned_data.get(start), self.cleaned_data.get(end)
        if first and last and (last < first or (last == first and not may_equal)):
            self.add_error(end, message)

    def add_error(self, field: str | None, error: Any) -> None:
        """What the record says of a field that has an error already is no news."""
        if field is None and hasattr(error, "error_dict"):
            news = {name: errors for name, errors in error.error_dict.items() if name not in self.errors}
            if not news:
                return
            error = ValidationError(news)
        super().add_error(field, error)

    def save_or_explain(self) -> bool:
        """Saves; what the record refuses is shown as errors of the form, and False returned. Raises StaleChange."""
        try:
            self.save()
        except StaleChange:
            raise
        except ConditionsUnmet as refused:
            for unmet in refused.unmet:
                self.add_error(unmet.field if unmet.field in self.fields else None, unmet.message)
        except ReadOnlyChange as refused:
            self.add_error(None, str(refused))
        except ChangeRefused as refused:
            self.add_error(refused.field if refused.field in self.fields else None, str(refused))
        except ValidationError as error:
            self.add_error(None, error)
        return not self.errors


class ApprovalForm(forms.ModelForm):
    decision = forms.ChoiceField(choices=Decision.choices, widget=forms.HiddenInput)
    comment = Text(label="Reason", required=False, widget=forms.Textarea(attrs={"rows": 2}))

    class Meta:
        model = Approval
        fields = ("decision", "comment")
