"""What the administration only shows, or only lets choose."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.db.models import Model
from django.http import HttpRequest


class ShownOnly:
    """Mixed into an admin or an inline: nobody adds, edits or deletes here, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class PlainChoices:
    """Mixed into an admin: choosing a related record is no occasion to add or edit it in a pop-up."""

    def formfield_for_dbfield(self, db_field: object, request: HttpRequest, **kwargs: object) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]
        if isinstance(getattr(field, "widget", None), RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field


class ReadOnlyAdmin(ShownOnly, admin.ModelAdmin):
    """Lists and shows records that something else writes."""

    show_full_result_count = False
