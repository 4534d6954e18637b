"""The pages of the exchange log: all operations, one of them, and retrying those of a time window."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.actor import signed_in
from changes.pages import csv_file, renewal
from changes.pages.access import StaffPage, who_may
from changes.pages.change import news
from changes.pages.fields import ZONE, Minute, work_in_zone_of
from changes.pages.from_replica import reads_from_replica
from changes.pages.htmx import asks_for_part, is_automatic, lead_to
from changes.pages.renewal import Part
from integrations.choices import Delivery, DeliveryStatus
from integrations.json_text import Shown, pretty
from integrations.models import ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox
from integrations.pages import as_curl
from integrations.pages.bulk_operations import LARGEST_RETRY, Window, retry_draft
from integrations.pages.change_panel import incoming_row, outgoing_row

from . import news as log_news
from . import rows as log_rows
from .exchange_log import Log

ATTEMPTS_SHOWN = 100
RETRIES, CONFIGURES = "integrations.retry_outgoingoperation", "integrations.change_externalsystem"
# The filters that are applied while somebody types.
TYPED = ("change", "error")


class ExchangeLog(StaffPage):
    """The log of outgoing or incoming operations. A request by htmx gets only the rows."""

    @reads_from_replica
    def get(self, request: HttpRequest) -> HttpResponse:
        is_incoming = request.GET.get("direction") == "in"
        has_times = bool(request.GET.get("since") or request.GET.get("until"))
        if has_times:
            # A link with times must show the same operations in any person's time zone.
            work_in_zone_of(request.GET)
        watch = log_news.watch() if is_automatic(request) else None  # before anything is read
        log = Log(request.GET, is_incoming)
        context = {"log": log, "filter": log.form, "is_incoming": is_incoming}
        content = render_to_string("integrations/includes/log_table.html", context, request)
        version = renewal.version_of(content)
        is_live = log.form.is_valid() and log.page.is_first
        context |= {"content": content, "version": version, "is_live": is_live, "here": request.get_full_path()}
        if not asks_for_part(request):
            return render(request, "integrations/log.html", context)
        if watch:
            rows = partial(render, request, "integrations/includes/log_rows.html", context)
            is_news = renewal.shown_version(request) != version
            return rows() if is_news else renewal.waiting(request, watch) or renewal.nothing_new()
        response = render(request, "integrations/includes/log_rows.html", context)
        asked = {name: value for name, value in request.GET.items() if value and (has_times or name != ZONE)}
        lead_to(response, request, request.path + (f"?{urlencode(asked)}" if asked else ""), TYPED)
        return response


class LogExport(StaffPage):
    """The operations of the log that the filters match, with the attempts of each, as a CSV file."""

    @reads_from_replica
    def get(self, request: HttpRequest) -> HttpResponseBase:
        work_in_zone_of(request.GET)
        log = Log(request.GET, request.GET.get("direction") == "in")
        if not log.form.is_valid():
            return redirect(f"{reverse('exchange:log')}?{request.GET.urlencode()}")
        return csv_file.download(
            f"exchange-log-{log.direction}", csv_file.lines(log_rows.NAMES, log_rows.portions(log))
        )


class OneOperation(StaffPage):
    """One operation of either direction, by its id: its payload and what became of it."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if (change := OutgoingOperation.objects.filter(pk=pk).values_list("change", flat=True).first()) is not None:
            return self._outgoing(pk, change)
        incoming = IncomingOperation.objects.select_related("system", "user", "change").filter(pk=pk).first()
        if incoming is None:
            raise Http404(_("There is no operation with this id."))
        context = {
            "row": incoming_row(incoming),
            "payload": Shown.of(incoming.payload),
            "result": Shown.of(incoming.result) if incoming.result is not None else None,
            "caused": incoming.caused.select_related("system", "change").order_by("id"),
        }
        return render(self.request, "integrations/incoming.html", context)

    def _outgoing(self, pk: UUID, change: int) -> HttpResponse:
        """The page of an outgoing operation, or its part that renews itself, which waits for news of the change."""
        request, is_part = self.request, asks_for_part(self.request)
        stamp = news.stamp_of(change) if is_part else None  # before anything is read
        related = ("change", "cause__system", "cause__user")
        operation: Any = OutgoingOperation.objects.with_neighbours().select_related(*related).get(pk=pk)
        context = self._of_outgoing(operation)
        part = Part.of(
            request, "operation", "integrations/includes/outgoing_result.html", context, renewal.interval(request)
        )
        if stamp is None:
            payload = {"payload": Shown.of(outbox.message(operation)), "curl": self._curl(operation)}
            return render(request, "integrations/outgoing.html", {**context, **payload, "part": part})
        is_news = renewal.shown_version(request) != part.version
        return part.answer(request) if is_news else renewal.waiting(request, stamp) or part.answer(request)

    def _of_outgoing(self, operation: OutgoingOperation) -> dict[str, Any]:
        beside = [operation.sequence - 1, operation.sequence + 1]
        neighbours = OutgoingOperation.objects.filter(exchange=operation.exchange_id, sequence__in=beside)
        attempts = list(operation.attempts.order_by("-started_at", "-id")[:ATTEMPTS_SHOWN])
        confirmed = (each for each in attempts if each.confirmation and operation.status == DeliveryStatus.DELIVERED)
        return {
            "operation": operation,
            "row": outgoing_row(operation),
            "attempts": [(attempt, as_curl.of_attempt(attempt) if attempt.request else "") for attempt in attempts],
            "may_retry": self._who_may_retry(),
            "confirmed": next(confirmed, None),
            "neighbours": neighbours.only("operation", "sequence", "status").order_by("sequence"),
        }

    def _curl(self, operation: OutgoingOperation) -> str:
        """The call of a pushed operation, for a person who may set up systems, and so may have its secret."""
        if (
            operation.system.delivery != Delivery.PUSH
            or operation.is_forgotten
            or not self.request.user.has_perm(CONFIGURES)
        ):
            return ""
        has_secret = ExternalSystem.objects.filter(pk=operation.system_id).exclude(signing_secret="").exists()
        return as_curl.of_push(operation, has_secret)

    def _who_may_retry(self) -> list[str]:
        """Who may retry, for somebody who may not."""
        return [] if self.request.user.has_perm(RETRIES) else who_may(RETRIES)


class OperationFile(StaffPage):
    """The whole payload of an operation (`payload`), or our answer to an incoming one (`result`), as a JSON file."""

    def get(self, request: HttpRequest, pk: UUID, part: str) -> HttpResponse:
        response = HttpResponse(pretty(self._found(pk, part)), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{pk}-{part}.json"'
        response["Cache-Control"] = "private, no-store"
        return response

    def _found(self, pk: UUID, part: str) -> Any:
        outgoing = OutgoingOperation.objects.filter(pk=pk).first()
        if outgoing is not None and part == "payload":
            return outbox.message(outgoing)
        incoming = IncomingOperation.objects.filter(pk=pk).first()
        found = getattr(incoming, part) if incoming is not None and part in ("payload", "result") else None
        if found is None:
            raise Http404(_("There is no operation with this id."))
        return found


# --- Retrying the stuck operations of a time window ---


class WindowForm(forms.Form):
    """Asks for the system (or all) and the time window whose operations are to be retried."""

    system = forms.ChoiceField(label=gettext_lazy("System"), required=False)
    since = Minute(label=gettext_lazy("Recorded from"), error_messages={"required": gettext_lazy("Enter the start.")})
    until = Minute(label=gettext_lazy("To"), error_messages={"required": gettext_lazy("Enter the end.")})

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        names = ExternalSystem.objects.values_list("system_id", flat=True)
        field: Any = self.fields["system"]
        field.choices = [("", _("All systems")), *((name, name) for name in names)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", _("The end must not be before the beginning."))
        return cleaned


class RetryWindow(StaffPage):
    """Creates a bulk job for the stuck operations of a time window, and leads to the job's preview."""

    permission = "integrations.retry_outgoingoperation"
    is_write_page = True

    def get(self, request: HttpRequest) -> HttpResponse:
        work_in_zone_of(request.GET)
        asked = {name: request.GET[name] for name in ("system", "since", "until") if request.GET.get(name)}
        now = timezone.now()
        usual = {"since": now - timedelta(days=1), "until": now}
        return self.page(WindowForm(initial={**usual, **asked}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = WindowForm(request.POST)
        if not form.is_valid():
            return self.page(form)
        window = Window(**form.cleaned_data)
        job = retry_draft(signed_in(request), window, f"{request.path}?{self._query(request)}")
        if job is None:
            messages.info(request, _("Nothing to retry: no operation of this time waits or was refused."))
            return self.page(form)
        return redirect("changes:bulk_job", job.pk)

    def _query(self, request: HttpRequest) -> str:
        query = request.POST.copy()
        query.pop("csrfmiddlewaretoken", None)
        return query.urlencode()

    def page(self, form: WindowForm) -> HttpResponse:
        context = {
            "form": form,
            "largest": number_format(LARGEST_RETRY, force_grouping=True),
            "log": reverse("exchange:log"),
        }
        return render(self.request, "integrations/retry_window.html", context)
