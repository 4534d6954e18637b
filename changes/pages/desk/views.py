"""The desk: the page after signing in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from changes.pages.access import StaffPage

from .desk import Desk

STOPPED = "stopped"


class DeskPage(StaffPage):
    """The whole page, and for htmx the part of it that updates by itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        is_live = request.GET.get("updates") != STOPPED
        if request.htmx:  # type: ignore[attr-defined]
            return render(request, "changes/includes/desk_now.html", {"is_live": is_live})
        return render(request, "changes/desk.html", {"desk": Desk(request.user), "is_live": is_live})
