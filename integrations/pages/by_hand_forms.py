"""The forms of the exchange's pages."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from changes.models import SupportGroup
from changes.texts.lines import Line

# It is kept together with the user's name, in 300 characters.
BREAKER_REASON_LENGTH = 140


class OpenBreakerForm(forms.Form):
    """Why a person lets nothing be sent to a system."""

    reason = Line(
        max_length=BREAKER_REASON_LENGTH,
        label=_("Reason"),
        help_text=_("Shown with your name wherever somebody asks why nothing is sent."),
        error_messages={"required": _("Give a reason for opening the circuit breaker.")},
    )


class TestOperationForm(forms.Form):
    """To which of a partner's groups the change of a test is given."""

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
        """Whether there is one to choose."""
        return self.fields["group"].initial is not None


class SkipForm(forms.Form):
    """Why an operation is given up, and whether all that waits behind it is given up too."""

    reason = Line(
        max_length=500,
        label=_("Reason"),
        help_text=_("Kept with the operation, for those who ask later."),
        error_messages={"required": _("Give a reason for skipping.")},
    )
    all = forms.BooleanField(required=False)
    # The sequence of the last operation that the page showed as waiting: what came since was not agreed to.
    last = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
