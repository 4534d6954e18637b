"""The form of a change. The model enforces the rules; the form shows the model's errors beside the fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Choices, Q
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes import workflow
from changes.choices import ChangeType, CompletionCode, Impact, Phase, Risk, Urgency
from changes.exceptions import ChangeRefused, ConditionsUnmet, ReadOnlyChange, StaleChange
from changes.models import Change
from changes.pages import rounds
from changes.pages.fields import Minute, PersonChoice, Text, keep_unedited
from changes.pages.groups import GroupChoice
from changes.queries.people import choosable
from changes.texts.lines import Line

LINES = Change.LINES
# Fields that a new change fills in, so that a value says nothing.
_PRESET = ("business_impact", "urgency")
TIMES = Change.TIMES
TEXTS = ("description", "reason", "justification", "implementation_plan", "backout_plan")


def _labelled(choices: type[Choices], empty: str = "") -> list[tuple[str, str]]:
    return [("", empty), *choices.choices] if empty else choices.choices


@dataclass(frozen=True)
class Section:
    """A section of the page: its id, title, and the fields, each with whether it is wide."""

    key: str
    title: str
    fields: list[tuple[forms.BoundField, bool]]
    is_folded: bool | None = None  # None: it cannot be folded


class ChangeForm(forms.ModelForm):
    """Creates or edits a change.

    A field that the person did not touch keeps the value that the row has now, so a save never restores an older value
    over somebody else's edit. The same holds for fields in `theirs`, for which the person chose the other's value.
    `base` has the values that the person saw, if the row was edited since. `typed` fills an unbound form with values
    typed before.
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
            "owning_group": GroupChoice,
            "requested_by": PersonChoice,
        }
        error_messages = {"title": {"required": gettext_lazy("Give the change a title.")}}
        help_texts = {
            "change_type": gettext_lazy("Fixed once the change has left Log."),
            "requested_by": gettext_lazy("May not approve this change. Fixed once it has left Log."),
            "owning_group": gettext_lazy("The group that holds the change now."),
            "completion_code": gettext_lazy(
                "Needed to close. Withdrawn or Rejected are for changes that are abandoned."
            ),
            "actual_start": gettext_lazy("Set when the change enters Deploy, unless it is set before."),
            "actual_end": gettext_lazy("Set when the change leaves Deploy, unless it is set before."),
        }

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        instance: Change,
        base: Mapping[str, Any] | None = None,
        theirs: Collection[str] = (),
        typed: QueryDict | None = None,
    ) -> None:
        initial = {"version": instance.version, **(base or {})}
        super().__init__(data, instance=instance, initial=initial)
        self.theirs = theirs
        self._offer_values(instance)
        for name in TEXTS:
            self.fields[name].widget.attrs["rows"] = 6 if name.endswith("plan") else 4
        if instance.pk is None:
            del self.fields["version"]
            self.fields["title"].widget.attrs["autofocus"] = not self.is_bound
        elif instance.phase != Phase.LOG:
            self.fields["change_type"].disabled = self.fields["requested_by"].disabled = True
        self._missing: set[str] = set()
        self._mark_needed(instance)
        for name in typed or ():
            if name in self.Meta.fields and not self.fields[name].disabled:
                self.initial[name] = self.sent(name, typed or {})

    def sent(self, name: str, data: Mapping[str, Any]) -> Any:
        """The value for this field in the submitted `data`, as its widget reads it."""
        return self.fields[name].widget.value_from_datadict(data, {}, name)

    def _offer_values(self, instance: Change) -> None:
        fields: dict[str, Any] = self.fields
        fields["requested_by"].queryset = choosable(Q(pk=instance.requested_by_id))
        for name, choices, empty in (
            ("change_type", ChangeType, ""),
            ("business_impact", Impact, ""),
            ("urgency", Urgency, ""),
            ("risk", Risk, _("Not set")),
            ("completion_code", CompletionCode, _("Not set")),
        ):
            fields[name].choices = _labelled(choices, empty)
        fields["owning_group"].empty_label = _("No group")
        fields["requested_by"].empty_label = _("Nobody yet")

    def _mark_needed(self, instance: Change) -> None:
        """Marks each field that the next transition needs, and stresses those that are still missing."""
        possible = workflow.targets(instance.change_type, instance.phase)
        if not possible or possible[0] == Phase.ABANDON:
            return
        missing: dict[str, bool] = {}
        for condition in workflow.conditions(instance.change_type, instance.phase, possible[0]):
            if condition.field in self.fields:
                missing[condition.field] = missing.get(condition.field, False) or not condition.holds(instance)
        self._missing = {name for name, is_missing in missing.items() if is_missing}
        for name, is_missing in missing.items():
            said = _("Still needed for %(phase)s.") if is_missing else _("Needed for %(phase)s.")
            said %= {"phase": possible[0].label}
            kind = "needed is-missing" if is_missing else "needed"
            own_help = self.fields[name].help_text
            self.fields[name].help_text = format_html('<span class="{}">{}</span> {}', kind, said, own_help)

    @property
    def round_warning(self) -> str:
        """What editing the plan would cost now, in words; "" if nothing. Queries the decisions."""
        return rounds.warning(self.instance) if self.instance.pk else ""

    @property
    def starts_round(self) -> bool:
        """Whether saving this form starts a new round of approvals."""
        is_in_round = self.instance.pk is not None and self.instance.phase == Phase.APPROVE_PLAN
        return is_in_round and bool({*workflow.PLAN} & {*self.changed_data})

    @property
    def to_mend(self) -> list[str]:
        """The fields with an invalid value. A required field that is still empty does not count."""
        found = self.errors.as_data().items()
        return [name for name, errors in found if any(error.code != "required" for error in errors)]

    @cached_property
    def sections(self) -> list[Section]:
        """The sections of the page. The first is always open, the others where there is something to see or to do."""
        first, *others = (
            Section(key, title, [(self[name], name == "title" or name in TEXTS) for name in names])
            for key, title, names in (
                ("what", _("What"), ("title", "change_type", "owning_group", "service")),
                ("describe", _("Description"), ("description", "category", "requested_by")),
                ("why", _("Why"), ("reason", "justification", "business_impact", "urgency", "risk")),
                ("how", _("How and when"), ("implementation_plan", "backout_plan", "planned_start", "planned_end")),
                ("outcome", _("Outcome"), ("actual_start", "actual_end", "completion_code")),
            )
        )
        return [first, *(replace(section, is_folded=not self._concerns(section)) for section in others)]

    def _concerns(self, section: Section) -> bool:
        """Whether a section has an error or something typed or, of a change that exists, a value or what it needs."""
        names = {bound.name for bound, _is_wide in section.fields}
        is_old = self.instance.pk is not None
        filled = {name for name in names - {*_PRESET} if self[name].value() not in (None, "")}
        typed = {name for name in names if self.is_bound and name in self.changed_data}
        return bool(names & {*self.errors} or typed or (filled if is_old else filled - {"requested_by"})) or (
            is_old and bool(names & self._missing)
        )

    @cached_property
    def changed_data(self) -> list[str]:
        return [name for name in super().changed_data if name not in self.theirs]

    def clean(self) -> dict[str, Any]:
        super().clean()
        if self.instance.pk is not None:
            keep_unedited(self, {*self.Meta.fields} - {*self.changed_data})
        planned, actual = (
            _("Planned end must be after planned start."),
            _("Actual end must not be before actual start."),
        )
        self._check_order("planned_start", "planned_end", planned, may_equal=False)
        self._check_order("actual_start", "actual_end", actual, may_equal=True)
        return self.cleaned_data

    def _check_order(self, start: str, end: str, message: str, *, may_equal: bool) -> None:
        """Adds an error if the end is before the start. Checked here, so that it shows together with all others."""
        first, last = self.cleaned_data.get(start), self.cleaned_data.get(end)
        if first and last and (last < first or (last == first and not may_equal)):
            self.add_error(end, message)

    def add_error(self, field: str | None, error: Any) -> None:
        """Drops the model's errors for fields that already have an error of the form."""
        if field is None and hasattr(error, "error_dict"):
            news = {name: errors for name, errors in error.error_dict.items() if name not in self.errors}
            if not news:
                return
            error = ValidationError(news)
        super().add_error(field, error)

    def save_or_explain(self) -> bool:
        """Saves the change. If the model refuses, adds its errors to the form and returns False. Raises StaleChange."""
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
