"""The forms for what a person does by hand: open a circuit breaker, send a test operation, skip an operation."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from changes.models import SupportGroup
from changes.texts.lines import Line

# The reason and the user's name must fit together into 300 characters.
BREAKER_REASON_LENGTH = 140


class OpenBreakerForm(forms.Form):
    """Asks why nothing shall be sent to a system any more."""

    reason = Line(
        max_length=BREAKER_REASON_LENGTH,
        label=_("Reason"),
        help_text=_("Shown with your name wherever a page explains why nothing is sent."),
        error_messages={"required": _("Give a reason for pausing.")},
    )


class TestOperationForm(forms.Form):
    """Asks for the partner's group to which the test change is given."""

    group: Any = forms.ModelChoiceField(
        SupportGroup.objects.none(),
        label=_("External group"),
        empty_label=None,
        help_text=_("The change of the test is given to this group, and so to its partner."),
        error_messages={"required": _("Choose the group that the test goes to.")},
    )

    def __init__(self, groups: QuerySet[SupportGroup], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        group: Any = self.fields["group"]
        group.queryset, group.initial = groups, groups.first()

    @property
    def has_group(self) -> bool:
        """Whether the partner has a group to choose."""
        return self.fields["group"].initial is not None


class SkipForm(forms.Form):
    """Asks why an operation is skipped, and whether those that wait behind it are skipped too (`all`)."""

    reason = Line(
        max_length=500,
        label=_("Reason"),
        help_text=_("Kept with the operation, for those who ask later."),
        error_messages={"required": _("Give a reason for skipping.")},
    )
    all = forms.BooleanField(required=False)
    # The sequence of the last waiting operation on the page. Later ones are not skipped: the person has not seen them.
    last = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
