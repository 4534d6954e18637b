"""The field of a change's phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_fsm import FSMField


class PhaseField(FSMField):
    """Only transitions set it. For migrations it is a CharField: the models that they build have no transitions.

    Each FSMField of such a model would search every model that is built after it for transitions, and a migration
    builds thousands.
    """

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, arguments, options = super().deconstruct()
        options.pop("protected", None)
        return name, "django.db.models.CharField", arguments, options
