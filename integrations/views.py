"""The pages of the exchange: the log, one operation, and what a person does with one that is stuck."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from changes.listing import CappedPaginator
from changes.models import Change
from changes.staff import StaffPage

from . import log, outbox
from .choices import Operation
from .forms import SkipForm
from .models import IncomingOperation, OutgoingOperation
from .panels import incoming_row, outgoing_row, with_neighbours
from .wording import OK, system_state

PAGE_SIZE = 50
ATTEMPTS_SHOWN = 100
BEHIND_SHOWN = 20


class ExchangeLog(StaffPage):
    """All operations, out or in, the newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        is_incoming = request.GET.get("direction") == "in"
        filterset = (log.incoming if is_incoming else log.outgoing)(request.GET)
        rows = filterset.qs if filterset.is_valid() else filterset.queryset.none()
        paginator = CappedPaginator(rows.order_by("-id"), PAGE_SIZE)
        page = paginator.get_page(request.GET.get("page"))
        context = {
            "filter": filterset,
            "page": page,
            "paginator": paginator,
            "is_incoming": is_incoming,
            "rows": [incoming_row(row) if is_incoming else outgoing_row(row) for row in page],
        }
        return render(request, "integrations/log.html", context)


class OneOperation(StaffPage):
    """One operation of either direction by its id: what it says, and what became of it."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        outgoing = (
            with_neighbours(OutgoingOperation.objects.all())
            .select_related("change", "cause__system", "cause__user")
            .filter(pk=pk)
            .first()
        )
        if outgoing is not None:
            return self._outgoing(outgoing)
        incoming = IncomingOperation.objects.select_related("system", "user", "change").filter(pk=pk).first()
        if incoming is None:
            raise Http404("There is no operation with this id.")
        context = {
            "row": incoming_row(incoming),
            "payload": pretty(incoming.payload),
            "result": pretty(incoming.result) if incoming.result is not None else "",
            "caused": incoming.caused.select_related("system", "change").order_by("id"),
        }
        return render(self.request, "integrations/incoming.html", context)

    def _outgoing(self, operation: OutgoingOperation) -> HttpResponse:
        context = {
            "row": outgoing_row(operation),
            "payload": pretty(outbox.message(operation)),
            "attempts": operation.attempts.order_by("-started_at", "-id")[:ATTEMPTS_SHOWN],
        }
        return render(self.request, "integrations/outgoing.html", context)


class ByHand(StaffPage):
    """What a person decides on an operation that waits or was refused."""

    def operation(self, pk: UUID) -> OutgoingOperation:
        visible = Change.objects.visible_to(self.request.user)
        operations = with_neighbours(OutgoingOperation.objects.all()).select_related("change")
        operation = operations.filter(pk=pk, change__in=visible).first()
        if operation is None:
            raise Http404("There is no outgoing operation with this id.")
        return operation

    def came_from(self, pk: UUID) -> str:
        """The page that the button was on."""
        wanted = self.request.POST.get("next") or self.request.GET.get("next") or ""
        if url_has_allowed_host_and_scheme(wanted, {self.request.get_host()}, self.request.is_secure()):
            return wanted
        return reverse("exchange:operation", args=[pk])


class Retry(ByHand):
    permission = "integrations.retry_outgoingoperation"

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return redirect("exchange:operation", pk)

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        operation = self.operation(pk)
        try:
            outbox.retry_now(operation)
        except outbox.NotOpen as refused:
            messages.error(request, str(refused))
        else:
            when = "as soon as it is its turn"
            if not operation.system.is_flowing:
                when = f"once {operation.system} is enabled and not paused"
            elif system_state(operation.system, timezone.now()).tone != OK:
                when = f"once the circuit breaker of {operation.system} lets it through"
            messages.success(request, f"{operation} is sent {when}.")
        return redirect(self.came_from(pk))


class Skip(ByHand):
    """Asks for the reason, and says what is lost, before an operation is given up."""

    permission = "integrations.skip_outgoingoperation"
    is_write_page = True

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._page(self.operation(pk), SkipForm())

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        operation = self.operation(pk)
        form = SkipForm(request.POST)
        if not form.is_valid():
            return self._page(operation, form)
        reason = form.cleaned_data["reason"]
        behind: list[OutgoingOperation] = []
        if form.cleaned_data["all"] and operation.operation == Operation.ASSIGN:
            shown = outbox.waiting_behind(operation).filter(sequence__lte=form.cleaned_data["last"] or 0)
            behind = list(shown.select_related("system"))
        try:
            outbox.skip(operation, request.user, reason)
        except outbox.NotOpen as refused:
            messages.error(request, str(refused))
            return redirect(self.came_from(pk))
        skipped = outbox.skip_all(behind, request.user, reason)
        more = f", and {skipped} that waited behind it" if skipped else ""
        messages.success(request, f"{operation} was skipped{more}.")
        return redirect(self.came_from(pk))

    def _page(self, operation: OutgoingOperation, form: SkipForm) -> HttpResponse:
        behind = outbox.waiting_behind(operation)
        last = behind.last()
        context = {
            "row": outgoing_row(operation),
            "form": form,
            "behind": list(behind[:BEHIND_SHOWN]),
            "last": last.sequence if last else operation.sequence,
            "next": self.came_from(operation.pk),
        }
        return render(self.request, "integrations/skip.html", context)


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
