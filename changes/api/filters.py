"""The filters of the API's list of changes. An invalid value is an error; no filter is silently ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django_filters import CharFilter, Filter, FilterSet, MultipleChoiceFilter
from drf_spectacular.utils import extend_schema_field

from changes.choices import METAPHASES, ChangeType, CompletionCode, Metaphase, Phase, Priority
from changes.models import Change
from changes.queries.querysets import ChangeQuerySet
from changes.queries.search import validate_words
from changes.validators import validate_text

from .fields import parse_timestamp

SEARCH_MAX_LENGTH = 200


class TimestampFormField(forms.Field):
    def to_python(self, value: Any) -> Any:
        if value is None:
            return None
        try:
            # The plus of an offset arrives as a space when the caller did not write it as %2B.
            return parse_timestamp(value.replace(" ", "+"))
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from error


class TextListField(forms.MultipleChoiceField):
    """A list of any texts. An empty text is an error, because it would filter nothing."""

    def validate(self, value: Any) -> None:
        for text in value:
            if not text:
                raise ValidationError("Give a name.", code="required")
            validate_text(text)


@extend_schema_field({"type": "array", "items": {"type": "string", "minLength": 1}})
class TextListFilter(Filter):
    field_class = TextListField

    def filter(self, queryset: ChangeQuerySet, value: list[str]) -> ChangeQuerySet:
        return queryset.filter(**{f"{self.field_name}__in": value}) if value else queryset


class TimestampFilter(Filter):
    field_class = TimestampFormField


def _one_of(choices: Any, **options: Any) -> MultipleChoiceFilter:
    message = f"Give one of: {', '.join(choices.values)}."
    return MultipleChoiceFilter(
        choices=choices.choices, distinct=False, error_messages={"invalid_choice": message}, **options
    )


class ChangeFilter(FilterSet):
    """The query parameters. If one is given several times, changes with any of the values match."""

    phase = _one_of(Phase)
    metaphase = _one_of(Metaphase, method="in_metaphase")
    change_type = _one_of(ChangeType)
    owning_group = TextListFilter(field_name="owning_group__name", help_text="The group's name.")
    priority = _one_of(Priority)
    completion_code = _one_of(CompletionCode)
    updated_since = TimestampFilter(
        field_name="updated_at", lookup_expr="gte", help_text="RFC 3339, such as 2026-11-24T09:30:00Z."
    )
    activity_since = TimestampFilter(
        field_name="last_activity_at",
        method="active_since",
        help_text="As `updated_since`, but comments, attachments and references that you see count too.",
    )
    search = CharFilter(
        method="matching",
        max_length=SEARCH_MAX_LENGTH,
        validators=[validate_words],
        help_text="At most 10 words, or phrases in quotes, that the number, title, description, service, category, "
        "comments or external ids have. `CHG219` and `219` find CHG0000219.",
    )

    class Meta:
        model = Change
        fields: list[str] = []

    def in_metaphase(self, queryset: ChangeQuerySet, name: str, values: list[str]) -> ChangeQuerySet:
        if not values:
            return queryset
        return queryset.filter(phase__in=[phase for phase, metaphase in METAPHASES.items() if metaphase in values])

    def active_since(self, queryset: ChangeQuerySet, name: str, moment: datetime) -> ChangeQuerySet:
        return queryset.filter(last_activity_at__gte=moment)

    def matching(self, queryset: ChangeQuerySet, name: str, text: str) -> ChangeQuerySet:
        return queryset.find(text, self.request.parser_context["view"].viewer)


# The filters that accept several values.
REPEATABLE = frozenset(
    name for name, item in ChangeFilter.base_filters.items() if isinstance(item, MultipleChoiceFilter | TextListFilter)
)
