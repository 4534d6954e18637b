"""The pages of a mapped system's connection. For those who may edit the system."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property, wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from changes.actor import signed_in
from changes.pages.access import StaffPage
from changes.pages.sign_in.confirming import ask_again
from changes.security_log.recording import Subject, record
from changes.validators import made_visible
from integrations.choices import Delivery, IncomingStatus, Operation
from integrations.connections import revisions, secrets, trying
from integrations.connections.document import connection_of, faults_of
from integrations.connections.evaluation.connection import Connection
from integrations.connections.templating.faults import Fault, FaultyDocument
from integrations.models import (
    ConnectionDraft,
    ConnectionPoll,
    ConnectionRevision,
    ConnectionSecret,
    ExternalSystem,
    IncomingOperation,
)
from integrations.outgoing import outbox
from integrations.standing.status import status_of, with_traffic

from .document_lines import faulty_lines
from .forms import ActivationForm, DocumentForm, ReplayForm, SecretForm, TryForm
from .presets import presets
from .reference import reference

REVISIONS_SHOWN = 50
FAILED_WITHIN = timedelta(days=7)


def confirmed(post: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Asks again for a proof before the POST is done."""

    @wraps(post)
    def asking(page: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return ask_again(request) or post(page, request, *args, **kwargs)

    return asking


class OfMappedSystem(StaffPage):
    """A page about the connection of the system in the address."""

    permission = "integrations.change_externalsystem"
    is_write_page = True

    @cached_property
    def system(self) -> ExternalSystem:
        systems = with_traffic(ExternalSystem.objects.select_related("connection", "inbox"), timezone.now())
        system = systems.filter(system_id=self.kwargs["system_id"]).first()
        if system is None or system.delivery != Delivery.MAPPED:
            raise Http404(_("There is no mapped system with this id."))
        return system

    # --- Documents ---

    @property
    def active(self) -> str:
        return self.system.connection.document if self.system.connection else ""

    @property
    def draft(self) -> ConnectionDraft | None:
        return ConnectionDraft.objects.filter(system=self.system).select_related("saved_by").first()

    def chosen(self, draft: ConnectionDraft | None) -> str:
        """The document that is worked on."""
        return draft.document if draft else self.active

    def page(self, template: str, context: Mapping[str, Any]) -> HttpResponse:
        flow = status_of(self.system, timezone.now()).flow
        return render(self.request, f"integrations/{template}.html", {"system": self.system, "flow": flow, **context})

    def back(self, anchor: str = "") -> HttpResponse:
        response = redirect("exchange:connection", self.system.system_id)
        response["Location"] += anchor
        return response


class ConnectionPage(OfMappedSystem):
    """The document that is worked on, with its faults, and what belongs to it."""

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        draft = self.draft
        chosen = request.GET.get("preset", "")
        document = presets().get(chosen) or self.chosen(draft)
        form = DocumentForm(initial={"document": document, "opened": self._opened_on(draft)})
        return self._page(form, document, draft, chosen)

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        action, draft = request.POST.get("action", "save"), self.draft
        form = (ActivationForm if action == "activate" else DocumentForm)(request.POST)
        is_valid = form.is_valid()
        document = form.cleaned_data.get("document", request.POST.get("document", ""))
        if is_valid and form.cleaned_data["opened"] != self._opened_on(draft):
            return self._overtaken(form, document, draft)
        if action == "discard":
            ConnectionDraft.objects.filter(system=self.system).delete()
            messages.success(request, _("The draft is discarded."))
            return self.back()
        if not is_valid:
            return self._page(form, document, draft)
        self._save_draft(document)
        if action == "activate":
            # Saved before it is asked: nobody shall lose a document to that.
            return ask_again(request) or self._activate(form, document)
        messages.success(request, _("The draft is saved. It is not active yet."))
        return self.back()

    def _opened_on(self, draft: ConnectionDraft | None) -> str:
        """Which revision and which draft the page shows, to notice those of somebody else."""
        number = self.system.connection.number if self.system.connection else 0
        return f"{number}/{draft.saved_at.isoformat() if draft else 'none'}"

    def _overtaken(self, form: DocumentForm, document: str, draft: ConnectionDraft | None) -> HttpResponse:
        told = _("Somebody saved a draft or activated a revision since you opened this page. Yours is below.")
        form.add_error(None, f"{told} {_('Compare both, and send it again to replace theirs.')}")
        data = self.request.POST.copy()
        data["opened"] = self._opened_on(draft)
        form.data = data
        return self._page(form, document, draft)

    def _save_draft(self, document: str) -> None:
        ConnectionDraft.objects.update_or_create(
            system=self.system,
            defaults={"document": document, "saved_at": timezone.now(), "saved_by": signed_in(self.request)},
        )

    def _activate(self, form: DocumentForm, document: str) -> HttpResponse:
        faults = faults_of(document)
        if missing := sorted(_secrets_of(document, faults) - {*self._written()}):
            told = _("Write the secrets that it names first: %(names)s. It was only saved as a draft.")
            form.add_error("document", told % {"names": ", ".join(missing)})
            return self._page(form, document, self.draft)
        try:
            revision = revisions.activate(self.system, document, signed_in(self.request), form.cleaned_data["reason"])
        except FaultyDocument:
            form.add_error("document", _("It has faults, so it was only saved as a draft."))
            return self._page(form, document, self.draft)
        if revision is None:
            ConnectionDraft.objects.filter(system=self.system).delete()
            messages.info(self.request, _("This document is active already: nothing was changed."))
        else:
            values = {"number": revision.number}
            messages.success(self.request, _("Revision %(number)s is active. What waits is sent by it.") % values)
        return self.back()

    def _failed_news(self, since: datetime) -> int:
        failed = IncomingOperation.objects.filter(status=IncomingStatus.FAILED, received_at__gte=since)
        return failed.filter(system=self.system).count()

    def _written(self) -> dict[str, ConnectionSecret]:
        return {row.name: row for row in ConnectionSecret.objects.filter(system=self.system).defer("value")}

    def _page(self, form: DocumentForm, document: str, draft: ConnectionDraft | None, preset: str = "") -> HttpResponse:
        faults = faults_of(document) if document.strip() else []
        active = revisions.active_connection(self.system)
        needed = _secrets_of(document, faults) | _secrets_of(self.active, [])
        written = self._written()
        found = self.system.revisions.select_related("activated_by").defer("document").order_by("-number")
        shown = list(found[: REVISIONS_SHOWN + 1])
        # A whole minute, as the log's filter takes it.
        failed_since = (timezone.now() - FAILED_WITHIN).replace(second=0, microsecond=0)
        return self.page(
            "connection",
            {
                "form": form,
                "draft": draft,
                "active": self.system.connection,
                "lines": faulty_lines(document, faults),
                "faults": faults,
                "is_empty": not document.strip(),
                "secrets": [(name, written.get(name)) for name in sorted(needed | {*written})],
                "missing": sorted(needed - {*written}),
                "secret_form": SecretForm(),
                "try_form": TryForm(),
                "replay_form": ReplayForm(),
                "revisions": shown[:REVISIONS_SHOWN],
                "has_more": len(shown) > REVISIONS_SHOWN,
                "presets": [*presets()],
                "preset": preset if preset in presets() else "",
                "is_activation": isinstance(form, ActivationForm),
                "inbox": getattr(self.system, "inbox", None),
                "unsent": active.without_steps(Operation.values) if active else [],
                "inbox_address": revisions.inbox_address(self.system),
                "failed_news": self._failed_news(failed_since),
                "failed_since": failed_since,
                "poll": self.system.loaded_poll,
            },
        )


def _secrets_of(document: str, faults: list[Fault]) -> set[str]:
    """The names of the secrets that this document needs; none of one with faults."""
    if faults or not document.strip():
        return set()
    try:
        return {*connection_of(document).secret_names}
    except FaultyDocument:
        return set()


class ReferencePage(StaffPage):
    """All keys of a document."""

    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            context = {"reference": reference()}
        except FileNotFoundError as error:
            raise Http404(_("docs/connections.md is not installed here.")) from error
        return render(request, "integrations/connection_reference.html", context)


class TryPage(OfMappedSystem):
    """The calls that an operation becomes by the document that is worked on. Nothing is sent, unless a test is run."""

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        form = TryForm(request.GET or None)
        tried = None
        connection, fault = self._connection()
        if connection and form.is_valid():
            message = trying.message_of(form.cleaned_data["change"], self.system, form.cleaned_data["operation"])
            tried = trying.rehearse(connection, self.system, message)
        return self.page("connection_try", {"form": form, "tried": tried, "fault": fault, "draft": self.draft})

    @confirmed
    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        """Runs the document against a test record, for real."""
        connection, fault = self._connection()
        ran = None
        if connection:
            group = self.system.external_groups.select_related("group").first()
            message = trying.test_message(
                self.system, group.group if group else None, signed_in(request), timezone.now()
            )
            record("connection_tested", Subject.of(self.system))
            ran = trying.run(connection, self.system, message)
        return self.page("connection_try", {"form": TryForm(), "ran": ran, "fault": fault, "draft": self.draft})

    def _connection(self) -> tuple[Connection | None, str]:
        try:
            return connection_of(self.chosen(self.draft)), ""
        except FaultyDocument as error:
            return None, str(error)


class ReplayPage(OfMappedSystem):
    """The latest operations through the draft and through the active document."""

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        form = ReplayForm(request.GET or {"count": ReplayForm.base_fields["count"].initial})
        draft, replayed, fault = self.draft, None, ""
        if draft and self.active and form.is_valid():
            try:
                sides = connection_of(self.active), connection_of(draft.document)
            except FaultyDocument as error:
                fault = str(error)
            else:
                found = trying.replay(self.system, *sides, form.cleaned_data["count"])
                replayed = [{"one": one, "difference": _difference_of(one)} for one in found]
        context = {
            "form": form,
            "draft": draft,
            "fault": fault,
            "replayed": replayed,
            "differing": sum(bool(each["difference"]) for each in replayed or []),
        }
        return self.page("connection_replay", context)


class SecretsPage(OfMappedSystem):
    """Writes one secret."""

    @confirmed
    @method_decorator(sensitive_post_parameters("value"))
    @method_decorator(sensitive_variables("form", "value"))
    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        form = SecretForm(request.POST)
        if not form.is_valid():
            for field, errors in form.errors.items():
                messages.error(request, f"{form.fields[field].label}: {' '.join(map(str, errors))}")
            return self.back("#secrets")
        name, value = form.cleaned_data["name"], form.cleaned_data["value"]
        if not secrets.write(self.system, {name: value}):
            messages.info(request, _("The secret %(name)s is as it was.") % {"name": name})
            if self.system.paused_at:
                outbox.resume(self.system)  # perhaps the partner has mended its side
        elif value:
            messages.success(request, _("The secret %(name)s is written.") % {"name": name})
            documents = [self.active, self.chosen(self.draft)]
            if not any(name in _secrets_of(document, []) for document in documents):
                messages.warning(request, _("No document names %(name)s. Compare the spelling.") % {"name": name})
        else:
            messages.success(request, _("The secret %(name)s is removed.") % {"name": name})
        return self.back("#secrets")


class PollPage(OfMappedSystem):
    """Asks for the partner's news now."""

    def post(self, request: HttpRequest, system_id: str) -> HttpResponse:
        if ConnectionPoll.objects.filter(system=self.system).update(due_at=timezone.now()):
            messages.success(request, _("The partner is asked for its news within seconds."))
        return self.back("#news")


class RevisionPage(OfMappedSystem):
    """One revision: its document, and what it changed. A POST makes its document active again."""

    def get(self, request: HttpRequest, system_id: str, number: int) -> HttpResponse:
        revision = self._revision(number)
        before = self.system.revisions.filter(number__lt=number).order_by("-number").first()
        context = {
            "revision": revision,
            "before": before,
            "difference": _difference(before.document, revision.document) if before else [],
            "is_active": revision.pk == self.system.connection_id,
        }
        return self.page("connection_revision", context)

    @confirmed
    def post(self, request: HttpRequest, system_id: str, number: int) -> HttpResponse:
        revision = self._revision(number)
        reason = _("Back to revision %(number)s") % {"number": number}
        try:
            made = revisions.activate(self.system, revision.document, signed_in(request), reason, back_to=number)
        except FaultyDocument as error:
            told = _("Revision %(number)s has faults by now: %(faults)s")
            messages.error(request, told % {"number": number, "faults": error})
            return redirect("exchange:connection_revision", system_id, number)
        if made is None:
            messages.info(request, _("This document is active already: nothing was changed."))
        else:
            values = {"new": made.number, "number": number}
            told = _("Revision %(new)s is active. Its document is that of revision %(number)s.")
            messages.success(request, told % values)
        return self.back()

    def _revision(self, number: int) -> ConnectionRevision:
        revision = self.system.revisions.filter(number=number).select_related("activated_by").first()
        if revision is None:
            raise Http404(_("There is no such revision."))
        return revision


def _difference_of(replayed: trying.Replayed) -> list[tuple[str, str]]:
    return [] if replayed.is_same else _difference(trying.told(replayed.active), trying.told(replayed.draft))


def _difference(before: str, after: str) -> list[tuple[str, str]]:
    """The lines of the difference, each with its kind: added, removed, same or place."""
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=3))[2:]
    return [(kinds.get(line[:1], "same"), made_visible(line)) for line in lines]
