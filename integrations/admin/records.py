"""Read-only admin of external references and of the state of each exchange."""

from django.contrib import admin

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
