"""Filters for the page of one change."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from changes.choices import Phase
from changes.pages.list.export import TABLES, Table

register = template.Library()


@register.simple_tag
def exported_tables() -> Iterable[Table]:
    """The files with what belongs to changes, which the list exports too."""
    return TABLES.values()


@register.filter
def phases_in_words(phases: Iterable[Phase]) -> str:
    """The labels of the phases as a list in words, such as `Deploy or Validate`."""
    return get_text_list([str(phase.label) for phase in phases], _("or"))
