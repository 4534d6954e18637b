"""The view that the open page of a change polls every few seconds for news of its exchange."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from changes.pages import renewal
from changes.pages.access import StaffPage
from changes.pages.change.page import find
from changes.pages.htmx import asks_for_part

from .change_panel import exchange_of


class ChangeExchangePart(StaffPage):
    """The exchange panels for htmx, or status 204 if they have not changed.

    A person who opens this address is redirected to the change.
    """

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        if not asks_for_part(request):
            return redirect(reverse("changes:detail", args=[number]) + "#exchange")
        change = find(request.user, number)
        exchange = exchange_of(change)
        shown, version = renewal.shown_version(request), exchange.version
        is_news = shown.partition(".")[0] != version.partition(".")[0]
        context = {"change": change, "exchange": exchange, "is_news": is_news}
        template = "integrations/includes/exchange_news.html"
        return renewal.answer(request, version, lambda: render(request, template, context))
