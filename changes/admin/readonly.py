"""What the administration only shows."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class ShownOnly:
    """Mixed into an admin or an inline: nobody adds, edits or deletes here, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ShownOnly, admin.ModelAdmin):
    """Lists and shows records that something else writes."""

    show_full_result_count = False
