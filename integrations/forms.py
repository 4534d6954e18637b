"""The forms of the exchange's pages."""

from typing import Any

from django import forms

# It is kept together with the user's name, in 300 characters.
BREAKER_REASON_LENGTH = 140


class OpenBreakerForm(forms.Form):
    """Why a person lets nothing be sent to a system."""

    reason = forms.CharField(
        max_length=BREAKER_REASON_LENGTH,
        help_text="Shown with your name wherever somebody asks why nothing is sent.",
        error_messages={"required": "Give a reason for opening the circuit breaker."},
    )


class SkipForm(forms.Form):
    """Why an operation is given up, and whether all that waits behind it is given up too."""

    reason = forms.CharField(
        max_length=500,
        help_text="Kept with the operation, for those who ask later.",
        error_messages={"required": "Give a reason for skipping."},
    )
    all = forms.BooleanField(required=False)
    # The sequence of the last operation that the page showed as waiting: what came since was not agreed to.
    last = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)

    def clean_reason(self) -> Any:
        return self.cleaned_data["reason"].strip()
