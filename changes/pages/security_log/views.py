"""The security log: its page, and its export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import override

from changes.models import SecurityEvent
from changes.pages import csv_file
from changes.pages.access import StaffPage
from changes.pages.csv_file import cell
from changes.pages.fields import ZONE, work_in_zone_of
from changes.pages.htmx import asks_for_part, lead_to
from changes.security_log import chain, wording
from changes.security_log.recording import NOTHING, record

from .filters import Log

# The filters that are applied while somebody types.
TYPED = ("person", "address", "text")
COLUMNS = (
    *("id", "at", "kind", "sentence", "actor_id", "actor_name", "address", "object_type", "object_id", "object_text"),
    *("details", "system_id", "token", "hash"),
)


class SecurityLogPage(StaffPage):
    """Base of both: also reading needs the permission."""

    permission = "changes.view_securityevent"
    is_write_page = True

    def asked(self, request: HttpRequest) -> Log:
        if request.GET.get("since") or request.GET.get("until"):
            # A link with times must show the same events in any person's time zone.
            work_in_zone_of(request.GET)
        chain.seal()  # what was recorded a moment ago
        return Log(request.GET)


class SecurityLog(SecurityLogPage):
    """The log. A request by htmx gets only the rows."""

    def get(self, request: HttpRequest) -> HttpResponse:
        log = self.asked(request)
        context = {"log": log, "filter": log.form}
        if not asks_for_part(request):
            return render(request, "changes/security_log.html", context)
        response = render(request, "changes/includes/security_log_rows.html", context)
        has_times = bool(request.GET.get("since") or request.GET.get("until"))
        asked = {name: value for name, value in request.GET.items() if value and (has_times or name != ZONE)}
        lead_to(response, request, request.path + (f"?{urlencode(asked)}" if asked else ""), TYPED)
        return response


class SecurityLogExport(SecurityLogPage):
    """The events that the filters match, as a CSV file. Exporting is an event itself."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        log = self.asked(request)
        if not log.form.is_valid():
            return redirect(f"{reverse('changes:security_log')}?{request.GET.urlencode()}")
        record("log_exported", NOTHING, {"filters": {name: request.GET[name] for name in log.form.active}})
        return csv_file.download("security-log", csv_file.lines(COLUMNS, _portions(log)))


def _portions(log: Log) -> Iterator[list[list[str]]]:
    for events in log.portions(csv_file.AT_ONCE):
        # Set for each portion: between two, the thread serves other requests.
        with override("en"):
            rows = [[cell(_value(event, name)) for name in COLUMNS] for event in events]
        yield rows


def _value(event: SecurityEvent, name: str) -> object:
    if name == "sentence":
        return wording.sentence(event)
    value = getattr(event, name)
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if name == "details" else value
