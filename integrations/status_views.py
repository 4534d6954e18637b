"""The page of the exchange's status, and what a person does there with a circuit breaker."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from changes.staff import StaffPage

from . import breaker, status
from .forms import OpenBreakerForm
from .models import ExternalSystem


class ExchangeStatus(StaffPage):
    """All systems: what waits, what is in flight, what was refused, how fast they take it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        statuses = status.all_statuses(now)
        return render(request, "integrations/status.html", {"statuses": statuses, "now": now})


class ByHand(StaffPage):
    permission = breaker.PERMISSION

    def status_of(self, system_id: str) -> status.SystemStatus:
        now = timezone.now()
        system = status.with_traffic(ExternalSystem.objects.filter(system_id=system_id), now).first()
        if system is None:
            raise Http404("There is no external system with this id.")
        return status.status_of(system, now)


class OpenBreaker(ByHand):
    """Asks for the reason, and says what waits, before nothing more is sent to a system."""

    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        return self._page(self.status_of(system_id), OpenBreakerForm())

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        form = OpenBreakerForm(request.POST)
        if not form.is_valid():
            return self._page(current, form)
        breaker.open_by_hand(current.system, request.user, form.cleaned_data["reason"])
        messages.success(request, f"The circuit breaker of {system_id} is open: nothing is sent until it is closed.")
        return redirect("exchange:status")

    def _page(self, current: status.SystemStatus, form: Any) -> HttpResponse:
        return render(self.request, "integrations/open_breaker.html", {"status": current, "form": form})


class CloseBreaker(ByHand):
    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        return redirect("exchange:status")

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        if current.breaker.is_closed:
            messages.info(request, f"The circuit breaker of {system_id} is closed already.")
        else:
            breaker.close_by_hand(current.system, request.user)
            messages.success(request, f"The circuit breaker of {system_id} is closed: what is due is sent now.")
        return redirect("exchange:status")
