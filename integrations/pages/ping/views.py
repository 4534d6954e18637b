"""The page of a ping: says what it shows, makes it, and explains the answer."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from changes.pages.htmx import asks_for_part
from integrations.outgoing import delivery
from integrations.pages.status_views import OfSystem

from .calls import Pinged, PingedElsewhere, ping
from .verdict import busy, held_back, verdict


class Ping(OfSystem):
    """A GET explains it, a POST makes it. It changes nothing here or there, but it makes a call."""

    permission = "integrations.change_externalsystem"
    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        return render(request, "integrations/ping.html", {"status": self.status_of(system_id)})

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        status = self.status_of(system_id)
        try:
            pinged = ping(status.system)
            finding = verdict(pinged, status)
        except PingedElsewhere:
            pinged, finding = Pinged(), busy(status.system)
        except delivery.HeldBack as held:
            pinged, finding = Pinged(), held_back(held)
        context = {"status": status, "pinged": pinged, "finding": finding}
        template = "integrations/includes/pinged.html" if asks_for_part(request) else "integrations/ping.html"
        return render(request, template, context)
