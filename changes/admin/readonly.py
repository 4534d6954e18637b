"""Mixins for the admin: read-only records, and choices without pop-ups."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Model
from django.http import HttpRequest


class ShownOnly:
    """A mixin for an admin or an inline: nobody can add, edit or delete here, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PlainChoices:
    """A mixin for an admin: a field for a related record has no buttons to add or edit that record in a pop-up."""

    def formfield_for_dbfield(self, db_field: object, request: HttpRequest, **kwargs: object) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class ReadOnlyAdmin(ShownOnly, admin.ModelAdmin):
    """The read-only admin of records that other code writes."""

    show_full_result_count = False
