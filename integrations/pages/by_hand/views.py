"""The views that retry a stuck operation now or skip it with a reason."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.models import Change
from changes.pages.access import StaffPage
from changes.pages.resume import typed_fields
from integrations.choices import Operation
from integrations.models import OutgoingOperation
from integrations.outgoing import outbox
from integrations.pages.change_panel import outgoing_row
from integrations.standing.flow import Condition, flow_of

from .forms import SkipForm

BEHIND_SHOWN = 20


class ByHand(StaffPage):
    """Base of the views by which a person decides on an operation that waits or was refused."""

    def operation(self, pk: UUID) -> OutgoingOperation:
        visible = Change.objects.visible_to(self.request.user)
        operations = OutgoingOperation.objects.with_neighbours().select_related("change")
        operation = operations.filter(pk=pk, change__in=visible).first()
        if operation is None:
            raise Http404(_("There is no outgoing operation with this id."))
        return operation

    def came_from(self, pk: UUID) -> str:
        """The address of the page with the button, from `next`; the operation's page if that is missing or unsafe."""
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
            outbox.retry_now(operation, forgets_steps="forgets_steps" in request.POST)
        except outbox.NotOpen as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, _when_sent(operation))
        return redirect(self.came_from(pk))


def _when_sent(operation: OutgoingOperation) -> str:
    names = {"operation": operation, "system": operation.system}
    flow = flow_of(operation.system, timezone.now())
    if flow.is_stopped:
        return _("%(operation)s is sent once %(system)s is enabled and not paused.") % names
    if operation.system.collects:
        return _("%(system)s gets %(operation)s when it next asks, as soon as it is its turn.") % names
    if flow.condition == Condition.HELD:
        return _("%(operation)s is sent once somebody resumes sending to %(system)s, which was paused by hand.") % names
    if flow.is_holding:
        return _("%(operation)s is sent once the circuit breaker of %(system)s lets it through.") % names
    return _("%(operation)s is sent as soon as it is its turn.") % names


class Skip(ByHand):
    """Asks for a reason and says what is lost, then skips the operation."""

    permission = "integrations.skip_outgoingoperation"
    is_write_page = True

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self._page(self.operation(pk), SkipForm(initial=typed_fields(request)))

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
        said = _("%(operation)s was skipped.")
        if skipped:
            said = ngettext(
                "%(operation)s was skipped, and %(count)s that waited behind it.",
                "%(operation)s was skipped, and %(count)s that waited behind it.",
                skipped,
            )
        messages.success(request, said % {"operation": operation, "count": skipped})
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
