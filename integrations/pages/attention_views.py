"""The views by which a person acknowledges what needs attention on the desk, or takes that back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from changes.actor import signed_in
from changes.pages.access import StaffPage
from integrations.models import Acknowledgement, Exchange, IncomingOperation, OutgoingOperation
from integrations.standing.acknowledged import mark_of

# What can be acknowledged: by the kind in the address, the field of the acknowledgement and its model.
KINDS = {"outgoing": OutgoingOperation, "incoming": IncomingOperation, "exchange": Exchange}


class Acknowledge(StaffPage):
    """Notes that this person knows of the record; with `undo`, that it needs attention again."""

    permission = "integrations.add_acknowledgement"

    def get(self, request: HttpRequest, kind: str, key: str) -> HttpResponse:
        return redirect("changes:home")

    def post(self, request: HttpRequest, kind: str, key: str) -> HttpResponse:
        record = self._record(kind, key)
        about = {kind: record}
        if "undo" in request.POST:
            Acknowledgement.objects.filter(**about).delete()
            messages.success(request, _("It needs attention again."))
        else:
            known = {"mark": mark_of(record), "user": signed_in(request)}
            Acknowledgement.objects.update_or_create(**about, defaults=known)
            messages.success(request, _("You have acknowledged it. It comes back when something new happens."))
        return redirect("changes:home")

    def _record(self, kind: str, key: str) -> Any:
        model: Any = KINDS.get(kind)
        try:
            record = model._default_manager.filter(pk=key).first() if model else None
        except (ValidationError, ValueError):
            record = None  # not the form of a key
        if record is None:
            raise Http404(_("There is nothing like this that needs attention."))
        return record
