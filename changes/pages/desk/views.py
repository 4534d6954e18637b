"""The desk: the page after signing in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from changes.actor import signed_in
from changes.pages.access import StaffPage
from changes.pages.from_replica import reads_from_replica
from changes.pages.htmx import asks_for_part
from changes.pages.renewal import Part

from .desk import Desk

STOPPED = "stopped"
# Seconds between two updates.
EVERY = 10


class DeskPage(StaffPage):
    """The desk: what needs attention now, which updates itself, and the work of the person's groups.

    htmx gets only the part that updates itself.
    """

    @reads_from_replica
    def get(self, request: HttpRequest) -> HttpResponse:
        is_live = request.GET.get("updates") != STOPPED
        every = EVERY if is_live else 0
        part = Part.of(request, "desk-now", "changes/includes/desk_now.html", {"is_live": is_live}, every)
        if asks_for_part(request):
            return part.answer(request)
        return render(request, "changes/desk.html", {"desk": Desk(signed_in(request)), "part": part})
