"""The views of the page of one change: the page itself, transitions and approvals. Its content is in page.py."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes import audit, steps, workflow
from changes.actor import signed_in
from changes.choices import CompletionCode, Decision, Phase
from changes.exceptions import ChangeRefused, ConditionsUnmet, MayNotApprove, StaleChange
from changes.models import Approval, Change
from changes.models.personal.looks import look, looked
from changes.pages import renewal
from changes.pages.access import StaffPage, require
from changes.pages.htmx import asks_for_part, target
from changes.pages.list.paging import Sort, Walk
from changes.pages.list.views import ChangeExport, TableExport
from changes.pages.resume import typed_fields
from changes.queries.subqueries import capped
from changes.texts import text_diff

from . import news
from .finding import find, find_key
from .forms import ApprovalForm
from .page import ChangePage, StaleNotice, is_moved_already, moves, refuse_stale, stale_in_words

CONFLICT, FORBIDDEN = 409, 403
# The cap of the count of the plans that still wait after one was approved.
WAITING_COUNTED = 50
# The completion codes of an abandoned change, in the order in which the page offers them.
ABANDONING_CODES = (CompletionCode.WITHDRAWN, CompletionCode.REJECTED)


class OneChange(StaffPage):
    """A view of the change that the address names."""

    @cached_property
    def change(self) -> Change:
        return find(self.request.user, self.kwargs["number"])

    def page(self, status: int = 200, **forms: object) -> HttpResponse:
        return self.part("changes/detail.html", status, **forms)

    def part(self, template: str, status: int = 200, **forms: object) -> HttpResponse:
        """The answer with the template of the page, or of a part of it."""
        page = ChangePage(self.change, self.request.user, self.request.GET.dict(), **forms)
        return render(self.request, template, {"change": self.change, "page": page}, status=status)

    def back(self, anchor: str = "") -> HttpResponse:
        return redirect(reverse("changes:detail", args=[self.kwargs["number"]]) + anchor)

    def is_moved_to(self, target: str) -> bool:
        """Whether this is a second click: the person's first click has already made the transition."""
        del self.change
        return is_moved_already(self.change, self.request.user, self.request.POST.get("version"), target)

    def out_of_date(self, stale: StaleChange, what_happened: str, **forms: object) -> HttpResponse:
        """The current page with a notice of what somebody else changed. Status 409: nothing was done."""
        del self.change
        notice = StaleNotice(stale_in_words(stale, what_happened), audit.edits_in_words(stale.edits))
        return self.page(CONFLICT, stale=notice, **forms)


class ExportOfOne(ChangeExport):
    """The same file as of the list, of the one change that the address names."""

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        number = self.kwargs["number"]
        found = Change.objects.filter(pk=find_key(request.user, number))
        return self.file(Walk(self.read(found), Sort("number", False)), of=number)


class TableExportOfOne(ExportOfOne, TableExport):
    """The same, of what belongs to the change."""


class ChangeDetail(OneChange):
    """The page of a change, and the parts of it that htmx requests: see templates/changes/detail.html."""

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        part = target(request) if asks_for_part(request) else ""
        if part == "timeline":
            return self.chosen_timeline()
        if part == "older":
            return self.part("changes/includes/timeline.html")
        if part == "news":
            return self.fresh()
        page = ChangePage(self.change, request.user, request.GET.dict())
        person = signed_in(request).pk
        shows_all = not (page.timeline.show or page.timeline.after)
        page.seen_until = look(person, self.change, page.shown_until) if shows_all else looked(person, self.change)
        return render(request, "changes/detail.html", {"change": self.change, "page": page})

    def chosen_timeline(self) -> HttpResponse:
        """Only the timeline, with the chosen filter. The next poll brings what else is new on the page."""
        page = ChangePage(self.change, self.request.user, self.request.GET.dict())
        version = page.version_with_timeline(news.without_stamp(renewal.shown_version(self.request)))
        context = {"change": self.change, "page": page, "version": version}
        return render(self.request, "changes/includes/timeline_chosen.html", context)

    def fresh(self) -> HttpResponse:
        """All parts that may have changed since the page was loaded. Waits for them; status 204 if nothing has."""
        seen = renewal.shown_version(self.request)
        stamp = news.stamp_of(find_key(self.request.user, self.kwargs["number"]))
        if stamp.is_on(seen):
            if later := renewal.waiting(self.request, stamp):
                return later
            if stamp.is_of_this_minute(seen):
                return renewal.nothing_new()
        page = ChangePage(self.change, self.request.user, self.request.GET.dict())
        shown = news.without_stamp(seen)
        if shown != page.version:
            return self._changed(page, shown, stamp)
        return renewal.waiting(self.request, stamp) or renewal.nothing_new(stamp.on(page.version))

    def _changed(self, page: ChangePage, shown: str, stamp: news.Stamp) -> HttpResponse:
        if not (page.timeline.show or page.timeline.after):
            look(signed_in(self.request).pk, self.change, page.shown_until)
        context = {
            "change": self.change,
            "page": page,
            "version": stamp.on(page.version),
            "is_own": news.own_version(shown) != news.own_version(page.version),
            "is_edited": not shown.startswith(f"{self.change.version}."),
            "others": news.of_others(self.request, self.change, shown),
            "now": timezone.now(),
        }
        return render(self.request, "changes/includes/news.html", context)


class SavePage(OneChange):
    """One save with its whole texts, of which the page of the change shows only so much."""

    def get(self, request: HttpRequest, number: str, version: str) -> HttpResponse:
        wanted = int(version)
        effort = text_diff.Effort(steps=3_000_000, characters=1_000_000)
        save = audit.saves_of(self.change, range(wanted, wanted + 1), effort=effort).get(wanted)
        if save is None:
            raise Http404(_("%(number)s has no such save.") % {"number": self.change.number})
        return render(request, "changes/save.html", {"change": self.change, "save": save, "is_whole": True})


# --- Actions on the page of a change ---


class OnPage(OneChange):
    """An action that is POSTed from the page of a change. A GET redirects to that page."""

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        return self.back()


class TransitionMake(OnPage):
    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        target = request.POST.get("phase", "")
        require(request.user, workflow.permission(target))
        try:
            refuse_stale(self.change, request.POST.get("version"))
            self.change.move_to(target)
            self.change.save()
        except StaleChange as stale:
            if not self.is_moved_to(target):
                return self.out_of_date(stale, _("It was not moved."))
            messages.success(request, _is_in(number, target))
        except (ConditionsUnmet, ChangeRefused) as refused:
            messages.error(request, _not_moved(number, str(refused)))
        except ValidationError as error:
            messages.error(request, _not_moved(number, " ".join(error.messages)))
        else:
            messages.success(request, _is_in(number, target))
        return self.back()


def _not_moved(number: str, why: str) -> str:
    return _("%(number)s was not moved. %(why)s") % {"number": number, "why": why}


def _is_in(number: str, phase: str) -> str:
    return _("%(number)s is in %(phase)s now.") % {"number": number, "phase": Phase(phase).label}


class Abandon(OneChange):
    """Asks for confirmation, shows what will be sent, and takes the completion code that Abandon needs."""

    permission = "changes.abandon_change"
    is_write_page = True

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        return self.ask()

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        code = request.POST.get("completion_code", "")
        try:
            refuse_stale(self.change, request.POST.get("version"))
            if code not in self.codes:
                return self.ask(_("Choose why it is abandoned."))
            if code != self.change.completion_code:
                require(request.user, "changes.change_change")
                self.change.completion_code = code
            self.change.move_to(Phase.ABANDON)
            self.change.save()
        except StaleChange as stale:
            if not (self.is_moved_to(Phase.ABANDON) and self.change.completion_code == code):
                return self.out_of_date(stale, _("It was not moved."))
            messages.success(request, _is_in(number, Phase.ABANDON))
        except ChangeRefused as refused:
            messages.error(request, _not_moved(number, str(refused)))
        except ValidationError as error:
            messages.error(request, _not_moved(number, " ".join(error.messages)))
        else:
            messages.success(request, _is_in(number, Phase.ABANDON))
        return self.back()

    @property
    def codes(self) -> list[CompletionCode]:
        return [CompletionCode(code) for code in ABANDONING_CODES]

    def ask(self, error: str = "") -> HttpResponse:
        if not any(move.is_abandon for move in moves(self.change, self.request.user)):
            messages.error(self.request, self._why_not())
            return self.back()
        chosen = self.request.POST.get("completion_code") or self.change.completion_code
        context = {"change": self.change, "codes": self.codes, "chosen": chosen, "error": error}
        return render(self.request, "changes/abandon.html", context)

    def _why_not(self) -> str:
        refused = _("A change in %(phase)s cannot be abandoned.") % {"phase": Phase(self.change.phase).label}
        return _not_moved(self.change.number, refused)


class ApprovalAdd(OnPage):
    permission = "changes.approve_change"

    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        typed = typed_fields(request)
        return self.page(approval_form=ApprovalForm(initial=typed)) if typed else self.back()

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = ApprovalForm(request.POST)
        if not form.is_valid():
            return self.page(approval_form=form)
        approval: Approval = form.save(commit=False)
        approval.author = signed_in(request)
        try:
            with transaction.atomic():
                # The lock keeps the plan as the approver read it until the approval is saved.
                approval.change = Change.objects.locked().get(pk=self.change.pk)
                refuse_stale(approval.change, request.POST.get("version"))
                approval.save()
        except StaleChange as stale:
            return self.out_of_date(stale, _("Your decision was not recorded."), approval_form=form)
        except ChangeRefused as refused:
            if not self._is_decided_already(approval):
                form.add_error("decision", str(refused))
                del self.change
                return self.page(FORBIDDEN if isinstance(refused, MayNotApprove) else CONFLICT, approval_form=form)
        said = {
            Decision.APPROVED: _("You have approved the plan of %(number)s."),
            Decision.DENIED: _("You have denied the plan of %(number)s."),
        }
        messages.success(request, said[Decision(approval.decision)] % {"number": number})
        return self._next() if "next" in request.GET else self.back("#approvals")

    def _next(self) -> HttpResponse:
        """Leads to the next plan that waits for this person, or to the desk."""
        number = steps.next_for(self.request.user, self.change, Change.objects.visible_to(self.request.user))
        if number is None:
            messages.info(self.request, _("No other plan waits for your decision."))
            return redirect("changes:home")
        waiting = steps.waiting_for(self.request.user, Change.objects.visible_to(self.request.user))
        count = capped(waiting.order_by()[: WAITING_COUNTED + 1].count(), WAITING_COUNTED)
        said = ngettext(
            "%(count)s plan still waits for your decision.",
            "%(count)s plans still wait for your decision.",
            count.number,
        )
        messages.info(self.request, said % {"count": f"{count.number}+" if count.is_capped else count.number})
        return redirect(reverse("changes:detail", args=[number]) + "#approvals")

    def _is_decided_already(self, approval: Approval) -> bool:
        """Whether this is a second click: the person's first click has already made the same decision."""
        own = approval.change.approvals.filter(round=approval.change.approval_round, author=approval.author)
        return own.filter(decision=approval.decision, comment=approval.comment).exists()
