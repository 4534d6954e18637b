"""The pages of a test operation: a form that says what will be sent, and a live view of the result."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from changes.actor import signed_in
from changes.pages.htmx import asks_for_part
from changes.pages.renewal import Part
from integrations.pages.by_hand.forms import TestOperationForm
from integrations.pages.status_views import OfSystem
from integrations.standing.status import SystemStatus

from . import sending

# The page polls every second for this long, then every ten: once a test hangs, seconds do not matter.
QUICK_FOR = timedelta(minutes=1)


class SendTest(OfSystem):
    """Shows what the partner will see, then sends the test."""

    permission = sending.PERMISSION
    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        return self._page(current, TestOperationForm(sending.groups_of(current.system)))

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        current = self.status_of(system_id)
        form = TestOperationForm(sending.groups_of(current.system), request.POST)
        if not form.is_valid():
            return self._page(current, form)
        change = sending.send(current.system, form.cleaned_data["group"], signed_in(request))
        messages.success(request, _("The test is recorded as %(number)s.") % {"number": change.number})
        return redirect("exchange:test_result", system_id, change.number)

    def _page(self, current: SystemStatus, form: TestOperationForm) -> HttpResponse:
        context = {
            "status": current,
            "form": form,
            "title_there": sending.title_of(current.system),
            "description_there": sending.DESCRIPTION,
            "has_group": form.has_group,
            "unfinished": sending.unfinished(current.system),
        }
        return render(self.request, "integrations/test_operation.html", context)


class TestResult(OfSystem):
    """The result of a test so far. The page polls it until the test is settled."""

    def get(self, request: HttpRequest, system_id: str, number: str) -> HttpResponse:
        found = sending.test_operation(self.status_of(system_id), number)
        if found is None:
            raise Http404(_("This change is not a test of this system."))
        age = found.at - found.steps[0].operation.created_at
        context = {
            "test": found,
            "status": found.status,
            "system": found.status.system,
        }
        every = 0 if found.is_settled else 1 if age < QUICK_FOR else 10
        template, said = "integrations/includes/test_operation_result.html", found.head.finding.title
        part = Part.of(request, "live", template, context, every, said)
        if asks_for_part(request):
            return part.answer(request)
        return render(request, "integrations/test_operation_result.html", {**context, "part": part})
