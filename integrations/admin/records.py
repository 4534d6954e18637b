"""Read-only admin of external references and of the state of each exchange."""

import unicodedata
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from changes.admin.readonly import ReadOnlyAdmin
from integrations.models import Exchange, ExternalReference


@admin.register(ExternalReference)
class ExternalReferenceAdmin(ReadOnlyAdmin):
    """Read-only: only partners fill external references."""

    list_display = ("external_id", "system", "change", "external_status", "updated_at")
    list_filter = ("system",)
    list_select_related = ("system", "change")
    search_fields = ("change__number", "external_id")
    fields = ("change", "system", "external_id", "external_url", "external_status", "updated_at")
    ordering = ("-updated_at", "-id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Ids are stored in NFC, in whatever form one is typed."""
        return super().get_search_results(request, queryset, unicodedata.normalize("NFC", search_term))


@admin.register(Exchange)
class ExchangeAdmin(ReadOnlyAdmin):
    list_display = (
        "change",
        "system",
        "last_sequence",
        "assigned_sequence",
        "cancelled_sequence",
        "rejected_at_sequence",
    )
    list_filter = ("system",)
    list_select_related = ("system", "change")
    search_fields = ("change__number",)
    ordering = ("-change",)
