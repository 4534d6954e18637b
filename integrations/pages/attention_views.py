"""The views by which a person acknowledges what needs attention on the desk, or takes that back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.actor import signed_in
from changes.pages.access import StaffPage
from integrations.models import Acknowledgement
from integrations.models.acknowledgements import RECORDS
from integrations.standing.acknowledged import mark_of
from integrations.standing.attention import incoming_shown_to, needing, seen_of


class Acknowledge(StaffPage):
    """Notes that this person knows of the record; with `undo`, that it needs attention again."""

    permission = "integrations.add_acknowledgement"

    def get(self, request: HttpRequest, kind: str, key: str) -> HttpResponse:
        return redirect("changes:home")

    def post(self, request: HttpRequest, kind: str, key: str) -> HttpResponse:
        if kind not in RECORDS:
            raise _nothing_there()
        user = signed_in(request)
        if "undo" in request.POST:
            shown = Acknowledgement.objects.filter(Q(incoming=None) | incoming_shown_to(user, "incoming__"))
            _the_one(shown, **{kind: key}).delete()
            messages.success(request, _("It needs attention again."))
            return redirect("changes:home")
        record = _the_one(needing(kind, user, timezone.now()), pk=key)
        # Of what was seen only: what is newer than the page needs attention still.
        if request.POST.get("seen") == seen_of(record):
            known = {"mark": mark_of(record), "user": user}
            Acknowledgement.objects.update_or_create(**{kind: record}, defaults=known)
            messages.success(request, _("You have acknowledged it. It comes back when something new happens."))
        else:
            messages.error(request, _("It has changed: look again."))
        return redirect("changes:home")


def _the_one(records: QuerySet[Any], **key: str) -> Any:
    try:
        record = records.filter(**key).first()
    except (ValidationError, ValueError):
        record = None  # not the form of a key
    if record is None:
        raise _nothing_there()
    return record


def _nothing_there() -> Http404:
    return Http404(_("There is nothing like this that needs attention."))
