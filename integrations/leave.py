"""What a partner may do with a change: the values that its registration can name, and the usual ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from changes.choices import ChangeType, Phase
from changes.models import Change
from changes.workflow import TRANSITIONS

CHANGE_TYPES = ChangeType.values
# A Standard change is approved beforehand, so a partner needs leave to make one.
USUAL_CHANGE_TYPES = [kind.value for kind in ChangeType if kind != ChangeType.STANDARD]
FIELDS = list(Change.WRITABLE_FIELDS)
# The phases that some transition leads to.
TARGETS = [
    phase.value
    for phase in Phase
    if any(phase in targets for table in TRANSITIONS.values() for targets in table.values())
]


def usual_change_types() -> list[str]:
    """The default of a system's `change_types`, for the model."""
    return [*USUAL_CHANGE_TYPES]


def in_order(chosen: Iterable[str], known: Sequence[str]) -> list[str]:
    """The chosen values without repetitions, in the order of `known`, so that equal choices are equal lists."""
    wanted = {*chosen}
    return [value for value in known if value in wanted]


# --- Validators of the model's fields ---


def validate_change_types(chosen: object) -> None:
    _refuse_unknown(chosen, CHANGE_TYPES)


def validate_settable_fields(chosen: object) -> None:
    _refuse_unknown(chosen, FIELDS)


def validate_transitions(chosen: object) -> None:
    _refuse_unknown(chosen, TARGETS)


def _refuse_unknown(chosen: object, known: Sequence[str]) -> None:
    for value in chosen if isinstance(chosen, list) else [chosen]:
        if value not in known:
            message = _("%(value)s is not known here. Known: %(known)s.")
            raise ValidationError(message, params={"value": value, "known": ", ".join(known)})
