"""The status page of the exchange, and the views that open and close a circuit breaker from there."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.actor import signed_in
from changes.pages.access import StaffPage
from changes.pages.from_replica import reads_from_replica
from changes.pages.htmx import asks_for_part
from changes.pages.renewal import Part
from changes.pages.resume import typed_fields
from integrations.models import ExternalSystem
from integrations.outgoing import breaker
from integrations.standing import status
from integrations.watch.absence import absences

from .by_hand.forms import OpenBreakerForm


class ExchangeStatus(StaffPage):
    """The status of all systems: operations waiting, in flight and refused, and the rates of delivery."""

    @reads_from_replica
    def get(self, request: HttpRequest) -> HttpResponse:
        now = timezone.now()
        statuses = status.with_last_days(status.all_statuses(now), now)
        stopped = [each.system_id for each in status.uncollected(statuses)]
        silent = absences(signed_in(request), statuses, now)
        context = {"statuses": statuses, "stopped": stopped, "absences": silent, "now": now}
        part = Part.of(request, "live", "integrations/includes/systems.html", context, every=5)
        if asks_for_part(request):
            return part.answer(request)
        return render(request, "integrations/status.html", {**context, "part": part})


class OfSystem(StaffPage):
    """Base of the views of one system."""

    def status_of(self, system_id: str) -> status.SystemStatus:
        now = timezone.now()
        system = status.with_traffic(ExternalSystem.objects.filter(system_id=system_id), now).first()
        if system is None:
            raise Http404(_("There is no external system with this id."))
        return status.status_of(system, now)


class OpenBreaker(OfSystem):
    """Asks for a reason and says what waits, then opens the circuit breaker of a system."""

    permission = breaker.PERMISSION
    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        return self._page(self.status_of(system_id), OpenBreakerForm(initial=typed_fields(request)))

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        form = OpenBreakerForm(request.POST)
        if not form.is_valid():
            return self._page(current, form)
        breaker.open_by_hand(current.system, request.user, form.cleaned_data["reason"])
        done = _("Sending to %(system)s is paused: nothing is sent until somebody resumes it.")
        messages.success(request, done % {"system": system_id})
        return redirect("exchange:status")

    def _page(self, current: status.SystemStatus, form: OpenBreakerForm) -> HttpResponse:
        return render(self.request, "integrations/open_breaker.html", {"status": current, "form": form})


class CloseBreaker(OfSystem):
    permission = breaker.PERMISSION

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        return redirect("exchange:status")

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        values = {"system": system_id}
        if current.breaker.is_closed:
            messages.info(request, _("Sending to %(system)s is not paused.") % values)
        else:
            breaker.close_by_hand(current.system, request.user)
            done = _("Sending to %(system)s goes on: what is due is sent now.")
            messages.success(request, done % values)
        return redirect("exchange:status")
