"""The choice of a support group: our own first, then those that belong to partners, each with its partner's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from django.forms import ModelChoiceField
from django.forms.models import ModelChoiceIterator
from django.utils.translation import gettext as _

from changes.models import SupportGroup

Choices = list[tuple[Any, Any]]


class _Hooks:
    """Set by the app that knows partners: the name of the partner of each group that has one, by the group's key."""

    partners: Callable[[], Mapping[int, str]] = staticmethod(dict)


hooks = _Hooks()


def grouped(groups: Iterable[tuple[Any, int, str]]) -> Choices:
    """The choices for groups, each given as its value, key and name. Without partners' groups, a plain list."""
    partners = hooks.partners()
    ours: Choices = []
    theirs: Choices = []
    for value, key, name in groups:
        if key in partners:
            theirs.append((value, f"{name} ({partners[key]})"))
        else:
            ours.append((value, name))
    return [(_("Ours"), ours), (_("Partners"), theirs)] if theirs else ours


class _Iterator(ModelChoiceIterator):
    def __iter__(self) -> Iterator[Any]:
        if self.field.empty_label is not None:
            yield ("", self.field.empty_label)
        groups: Iterable[SupportGroup] = self.queryset
        yield from grouped((self.field.prepare_value(group), group.pk, group.name) for group in groups)


class GroupChoice(ModelChoiceField):
    """A support group, offered in two parts: ours and partners'."""

    iterator = _Iterator
