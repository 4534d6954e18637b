"""The exchange of one change, as its open page asks for it every few seconds."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from changes.pages.access import StaffPage
from changes.pages.change.page import find

from .change_panel import exchange_of

NOTHING_NEW = 204


class ChangeExchangePart(StaffPage):
    """The panels of the exchange for htmx, or 204 while they are as `seen` says; opened by a person, the change."""

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        if not request.headers.get("HX-Request"):
            return redirect(reverse("changes:detail", args=[number]) + "#exchange")
        change = find(request.user, number)
        exchange = exchange_of(change)
        seen = request.GET.get("seen", "")
        if seen == exchange.stamp:
            return HttpResponse(status=NOTHING_NEW)
        is_news = seen.partition(".")[0] != exchange.stamp.partition(".")[0]
        context = {"change": change, "exchange": exchange, "is_news": is_news}
        return render(request, "integrations/includes/exchange_news.html", context)
