"""The pages of the exchange: the log, one operation, and what a person does with one that is stuck."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from changes.listing import CappedPaginator
from changes.models import Change
from changes.staff import StaffPage

from . import log, outbox
from .choices import Operation
from .models import IncomingOperation, OutgoingOperation
from .panels import incoming_row, outgoing_row, with_neighbours

PAGE_SIZE = 50
ATTEMPTS_SHOWN = 100


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
    """What a person decides on an operation that waits or was refused. Its address, opened, shows the operation."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return redirect("exchange:operation", pk)

    def operation(self, pk: UUID) -> OutgoingOperation:
        visible = Change.objects.visible_to(self.request.user)
        operation = OutgoingOperation.objects.select_related("system").filter(pk=pk, change__in=visible).first()
        if operation is None:
            raise Http404("There is no outgoing operation with this id.")
        return operation

    def back(self, pk: UUID) -> HttpResponse:
        """To the page that the form was on."""
        wanted = self.request.POST.get("next", "")
        if url_has_allowed_host_and_scheme(wanted, {self.request.get_host()}, self.request.is_secure()):
            return redirect(wanted)
        return redirect("exchange:operation", pk)


class Retry(ByHand):
    permission = "integrations.retry_outgoingoperation"

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        operation = self.operation(pk)
        try:
            outbox.retry_now(operation)
        except outbox.NotOpen as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, f"{operation} is sent as soon as it is its turn.")
        return self.back(pk)


class Skip(ByHand):
    permission = "integrations.skip_outgoingoperation"

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        operation = self.operation(pk)
        reason = request.POST.get("reason", "")
        behind: list[Any] = []
        if request.POST.get("all") and operation.operation == Operation.ASSIGN:
            behind = list(outbox.waiting_behind(operation).select_related("system"))
        try:
            outbox.skip(operation, request.user, reason)
        except (outbox.NotOpen, ValueError) as refused:
            messages.error(request, str(refused))
            return self.back(pk)
        skipped = outbox.skip_all(behind, request.user, reason)
        more = f", and {skipped} that waited behind it" if skipped else ""
        messages.success(request, f"{operation} was skipped{more}.")
        return self.back(pk)


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
