"""The pages of bulk jobs: the form, the preview, the progress, and the result of each record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.formats import number_format
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django_htmx.http import retarget

from changes.actor import Person, signed_in
from changes.models import BulkJob, Change, restored_copy
from changes.pages.access import StaffPage, require
from changes.pages.from_replica import note_own_write
from changes.pages.htmx import asks_for_part
from changes.pages.renewal import Part
from changes.pages.resume import typed_fields

from . import drafts
from .change_kinds import CHANGE_KINDS, ChangeKind
from .forms import ActionForm
from .kind import kind_of
from .progress import Progress, Results
from .selection import LARGEST, Selection

JOBS_SHOWN = 50
# The permission to see and stop other people's jobs.
OVERSEE = "changes.change_bulkjob"
NAMED = 12


class Choose(StaffPage):
    """The form for the chosen changes. The list posts the choice, and a redirect puts it into the address."""

    is_write_page = True

    def setup(self, request: HttpRequest, *args: object, **kwargs: object) -> None:
        super().setup(request, *args, **kwargs)
        found = [kind for kind in CHANGE_KINDS if kind.name == kwargs["kind"]]
        if not found:
            raise Http404(_("There is no such bulk action."))
        self.kind: ChangeKind = found[0]
        self.permission = self.kind.permission

    @cached_property
    def selection(self) -> Selection:
        return Selection.named(self.request)

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        if not self.selection.changes:
            return self.nothing_chosen(self.selection)
        return self.page(self.kind.form(initial=typed_fields(request)))

    def post(self, request: HttpRequest, kind: str) -> HttpResponse:
        if "preview" not in request.POST:
            chosen = Selection.posted(request)
            if not (chosen.is_all or chosen.numbers):
                return self.nothing_chosen(chosen)
            return redirect(f"{request.path}?{chosen.address}")
        form = self.kind.form(request.POST)
        if not self.selection.changes:
            return self.nothing_chosen(self.selection)
        if self.selection.is_too_large or not form.is_valid():
            return self.page(form)
        user, parameters = signed_in(request), form.parameters()
        targets = self.kind.targets(self.selection.changes, parameters, user)
        job = drafts.draft(self.kind, user, parameters, targets, request.get_full_path())
        return redirect("changes:bulk_job", job.pk)

    def nothing_chosen(self, selection: Selection) -> HttpResponse:
        said = _("No change matches.") if selection.is_all else _("Tick at least one change first.")
        messages.info(self.request, said)
        return redirect(selection.list_address)

    def page(self, form: ActionForm) -> HttpResponse:
        changes = self.selection.changes
        context = {
            "kind": self.kind.name,
            "form": form,
            "selection": self.selection,
            "count": len(changes),
            "named": changes[:NAMED],
            "more": max(0, len(changes) - NAMED),
            "largest": number_format(LARGEST, force_grouping=True),
        }
        return render(self.request, "changes/bulk_choose.html", context)


class Jobs(StaffPage):
    """The person's own jobs, newest first. With the permission `OVERSEE`, also the running jobs of others."""

    def get(self, request: HttpRequest) -> HttpResponse:
        user = signed_in(request)
        own = BulkJob.objects.filter(user=user, confirmed_at__isnull=False)
        running = BulkJob.objects.unfinished().exclude(user=user).select_related("user")
        context = {
            "jobs": self._progress(own),
            "running": self._progress(running) if user.has_perm(OVERSEE) else [],
            "shown": JOBS_SHOWN,
        }
        return render(request, "changes/bulk_jobs.html", context)

    def _progress(self, found: QuerySet[BulkJob]) -> list[Progress]:
        jobs = list(found.order_by("-id")[:JOBS_SHOWN])
        counts: dict[UUID, Counter[str]] = {job.pk: Counter() for job in jobs}
        rows = BulkJob.objects.filter(pk__in=counts).order_by().values_list("pk", "items__status")
        for pk, status, count in rows.annotate(n=Count("items")):
            counts[pk][status] = count
        return [Progress(job, counts[job.pk]) for job in jobs]


class OneJob(StaffPage):
    """A view of the person's own job. Others get 404, except holders of `OVERSEE` where `is_for_overseers`."""

    is_for_overseers = False

    @cached_property
    def job(self) -> BulkJob:
        user = signed_in(self.request)
        job = BulkJob.objects.filter(pk=self.kwargs["pk"]).select_related("user").first()
        if job is None or not (job.user_id == user.pk or self._is_overseen(job, user)):
            raise Http404(_("You have no bulk job with this id."))
        if job.user_id == user.pk:
            job.user = user  # its permissions are already loaded
        return job

    def _is_overseen(self, job: BulkJob, user: Person) -> bool:
        return self.is_for_overseers and not job.is_draft and user.has_perm(OVERSEE)

    def back(self) -> HttpResponse:
        return redirect("changes:bulk_job", self.job.pk)


class JobPage(OneJob):
    """The preview of a draft, or the progress of a started job. htmx requests get only the part that changes."""

    is_for_overseers = True

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        job = self.job
        if job.is_draft:
            return self._preview(job)
        progress = Progress.of(job)
        context: dict[str, Any] = {"job": job, "progress": progress}
        every = 1 if job.is_running else 0
        part = Part.of(request, "job-progress", "changes/includes/bulk_progress.html", context, every)
        if asks_for_part(request) and job.is_running:
            return part.answer(request)
        context |= {"part": part, "results": Results(job, progress, request.GET)}
        if asks_for_part(request):
            # The job has just finished: the answer replaces the whole job, with its results.
            done = render(request, "changes/includes/bulk_state.html", {**context, "is_part": True})
            response = retarget(done, "#job")
        else:
            response = render(request, "changes/bulk_job.html", context)
        if not job.is_running:
            note_own_write(response)  # a worker did it for the person, who now looks at the changes
        return response

    def _preview(self, job: BulkJob) -> HttpResponse:
        kind = kind_of(job)
        require(job.user, kind.permission)
        preview = kind.preview(job)
        context = {
            "job": job,
            "title": kind.title(job),
            "preview": preview,
            "start_label": kind.start_label(job, preview.doable),
            **preview.context,
        }
        return render(self.request, "changes/bulk_preview.html", context)


class Decision(OneJob, ABC):
    """A button of the preview, whose page may be out of date: the job was started or discarded meanwhile."""

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.back()

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.decide(self.job) if BulkJob.objects.filter(pk=pk).exists() else self.gone()

    @abstractmethod
    def decide(self, job: BulkJob) -> HttpResponse:
        """Does what the button says. Calls `too_late()` if the job is no draft any more."""

    def too_late(self) -> HttpResponse:
        """Says what became of the draft meanwhile, and leads there."""
        if not BulkJob.objects.filter(pk=self.job.pk).exists():
            return self.gone()
        messages.info(self.request, _("It was started already."))
        return self.back()

    def gone(self) -> HttpResponse:
        messages.info(self.request, _("This preview is not there any more: it was discarded, or it was too old."))
        return redirect("changes:bulk_jobs")


class StartJob(Decision):
    def decide(self, job: BulkJob) -> HttpResponse:
        require(job.user, kind_of(job).permission)
        if restored_copy():
            messages.error(
                self.request,
                _(
                    "Not started: this is a restored copy. No bulk job is carried out until an operator runs "
                    "manage.py resume_after_restore."
                ),
            )
        elif not drafts.start(job.pk):
            return self.too_late()
        return self.back()


class StopJob(OneJob):
    is_for_overseers = True

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.back()

    def post(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if drafts.stop(self.job.pk):
            messages.success(request, _("It was stopped. What was not done yet stays as it was."))
        else:
            messages.info(request, _("There was nothing to stop any more."))
        return self.back()


class ChooseAgain(Decision):
    """Replaces an outdated draft by a new one, for the same changes as they are now."""

    def decide(self, job: BulkJob) -> HttpResponse:
        kind = kind_of(job)
        require(job.user, kind.permission)
        if not isinstance(kind, ChangeKind):
            return self.back()
        with transaction.atomic():
            keys = [int(target) for target in job.items.order_by("position").values_list("target", flat=True)]
            found = Change.objects.visible_to(job.user).with_people().in_bulk(keys)
            targets = kind.targets([found[key] for key in keys if key in found], job.parameters, job.user)
            if not BulkJob.objects.filter(pk=job.pk, confirmed_at=None).delete()[0]:
                return self.too_late()
            fresh = drafts.draft(kind, job.user, job.parameters, targets, job.back)
        return redirect("changes:bulk_job", fresh.pk)


class DropJob(Decision):
    """Deletes a draft, and leads back to its form."""

    def decide(self, job: BulkJob) -> HttpResponse:
        if not BulkJob.objects.filter(pk=job.pk, confirmed_at=None).delete()[0]:
            return self.too_late()
        return redirect(job.back or "changes:bulk_jobs")
