"""The pages to create and edit a change, the preview of what a save would send, and the page for conflicting edits."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext as _

from changes import audit
from changes.actor import signed_in
from changes.exceptions import StaleChange
from changes.models import Change, SupportGroup
from changes.pages import renewal, rounds
from changes.pages.access import StaffPage
from changes.pages.change.page import own_save, refuse_stale
from changes.pages.change.views import OneChange
from changes.pages.htmx import asks_for_part
from changes.pages.once import once
from changes.pages.overlaps import overlaps_of
from changes.pages.resume import typed_before

from .forms import ChangeForm
from .merging import Clash, Resolution, Typed, merge

CONFLICT = 409
FORM, WILL_SEND = "changes/form.html", "changes/includes/edit_preview.html"


def previewed(request: HttpRequest, form: ChangeForm, stored: Change | None) -> HttpResponse | None:
    """For htmx, the preview of what a save of this form would send, or 204 if it is shown already.

    None if the request is not from htmx: the caller then renders the whole page.
    """
    if not asks_for_part(request):
        return None
    draft = form.instance
    context = {"form": form, "stored": stored, "draft": draft, "overlaps": overlaps_of(draft), "is_part": True}
    part = render_to_string(WILL_SEND, context, request)
    version = renewal.version_of(part)
    held = format_html("<span {} hidden></span>", renewal.attributes(version))
    return renewal.answer(request, version, lambda: HttpResponse(held + part))


# --- Creating ---


class ChangeCreate(StaffPage):
    permission = "changes.add_change"
    is_write_page = True

    def get(self, request: HttpRequest) -> HttpResponse:
        typed = typed_before(request)
        return self.page(self.form(typed, is_resumed=True) if typed else self._planned())

    def _planned(self) -> ChangeForm:
        """The empty form, with the planned start, service and group that the address names, as the calendar does.

        Tells the person what of it cannot be used.
        """
        form = self.form(None)
        for name in ("planned_start", "service"):
            if value := self.request.GET.get(name, ""):
                try:
                    form.initial[name] = form.fields[name].clean(value)
                except ValidationError as error:
                    messages.error(self.request, f"{form[name].label}: {' '.join(error.messages)}")
        if group := SupportGroup.objects.filter(name=self.request.GET.get("group", "")).first():
            form.initial["owning_group"] = group.pk
        return form

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form(request.POST)
        with once(request) as sent:
            if not sent.led_to and form.is_valid() and form.save_or_explain():
                sent.led_to = form.instance.number
        if not sent.led_to:
            return self.page(form)
        if sent.is_again:
            said = _("%(number)s was created. Submitted twice, saved once.")
        else:
            said = _("%(number)s was created.")
        messages.success(request, said % {"number": sent.led_to})
        return redirect("changes:detail", sent.led_to)

    def form(self, data: QueryDict | None, is_resumed: bool = False) -> ChangeForm:
        new = Change(requested_by=signed_in(self.request))
        if data is not None and is_resumed:
            return ChangeForm(instance=new, typed=data)
        return ChangeForm(data, instance=new)

    def page(self, form: ChangeForm, **context: object) -> HttpResponse:
        return render(self.request, FORM, {"form": form, "change": None, **context})


class ChangeCreatePreview(ChangeCreate):
    """The preview of what creating the change would send. It saves nothing."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("changes:create")

    def post(self, request: HttpRequest) -> HttpResponse:
        form = self.form(request.POST)
        form.is_valid()
        part = previewed(request, form, None)
        draft = form.instance
        return part or self.page(form, is_previewed=True, stored=None, draft=draft, overlaps=overlaps_of(draft))


# --- Editing ---


class ChangeEdit(OneChange):
    permission = "changes.change_change"
    is_write_page = True

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        typed = typed_before(request)
        if typed is None:
            return self.form_page(ChangeForm(instance=self.change))
        resolution, form = self.read(typed)
        form.is_valid()
        if resolution.chosen or self.stored.is_final or typed.get("version") != str(self.stored.version):
            return self.conflict_page(form, resolution, is_stale=True)
        return self.form_page(ChangeForm(instance=self.stored, typed=typed))

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        """Saves the form, or shows it again with its errors or conflicts."""
        resolution, form = self.read(request.POST)
        is_valid = form.is_valid()
        try:
            refuse_stale(self.stored, request.POST.get("version"))
            if self.stored.is_final:
                return self.conflict_page(form, resolution, is_stale=True)
            if resolution.refuse_unchosen(form) or not (is_valid and form.save_or_explain()):
                if resolution.chosen:
                    return self.conflict_page(form, resolution, is_stale=False)
                return self.form_page(form)
        except StaleChange:
            if not self.is_saved_already(form, resolution):
                return self.conflict_page(form, resolution, is_stale=True)
            messages.success(request, _("%(number)s was saved.") % {"number": number})
            return self.back()
        if form.instance.changed_fields:
            messages.success(request, _("%(number)s was saved.") % {"number": number})
            if said := rounds.notice(form.instance, self.stored.approval_round):
                messages.warning(request, said)
        else:
            messages.info(request, _("Nothing was changed, so nothing was saved."))
        return self.back()

    def is_saved_already(self, form: ChangeForm, resolution: Resolution) -> bool:
        """Whether this is a second click: the person has already saved exactly this form, and nothing else happened."""
        del self.change  # to load what is stored now, without the values of the form
        edits = own_save(self.change, self.request.user, resolution.data.get("version"))
        if not edits or resolution.chosen:
            return False
        merged = merge(form, resolution, edits, self.change)
        is_more = any(edit.field == "phase" or edit.field in ChangeForm.Meta.fields for edit in merged.taken)
        return bool(merged.same) and not (is_more or merged.clashes or merged.kept or merged.lost)

    def read(self, sent: QueryDict) -> tuple[Resolution, ChangeForm]:
        """The submitted form, after applying its choices. Sets `stored` to the change as the database has it."""
        self.stored = copy(self.change)
        resolution = Resolution(sent)
        base = self._as_seen(sent.get("version", ""))
        return resolution, ChangeForm(resolution.data, instance=self.change, base=base, theirs=resolution.theirs)

    def form_page(self, form: ChangeForm, status: int = 200, **context: object) -> HttpResponse:
        context = {"form": form, "change": self.change, **context}
        return render(self.request, FORM, context, status=status)

    def _as_seen(self, version: str) -> dict[str, Any]:
        """The values in the version that the person began to edit; empty if that is the current one, or unknown."""
        if not _is_version(version) or int(version) == self.change.version:
            return {}
        record = self.change.history.filter(version=version).first()
        if record is None:
            return {}
        return {name: getattr(record, audit.attname(name)) for name in ChangeForm.Meta.fields}

    def conflict_page(
        self, form: ChangeForm, resolution: Resolution, is_stale: bool, **context: object
    ) -> HttpResponse:
        """The page that compares both versions field by field and keeps everything typed. Status 409.

        The form field `began` has the version that the person began to edit.
        """
        sent = resolution.data
        began = sent.get("began") or sent.get("version", "")
        del self.change  # to load what is stored now, without the values of the form
        edits = self.change.edits_since(int(began) if _is_version(began) else 0)
        merged = merge(form, resolution, edits, self.change)
        if is_stale:
            form = ChangeForm(instance=self.change, typed=_values(merged.clashes, merged.kept))
        refused = {"is_refused": True, "is_stale": is_stale, "merge": merged, "began": began}
        return self.form_page(form, CONFLICT, **refused, **context)


def _values(clashes: Iterable[Clash], kept: Iterable[Typed]) -> QueryDict:
    values = QueryDict(mutable=True)
    for typed in [*(clash.mine for clash in clashes), *kept]:
        values[typed.name] = typed.text
    return values


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


class ChangeEditPreview(ChangeEdit):
    """The preview of what a save would send. It saves nothing."""

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        return redirect("changes:edit", number)

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        resolution, form = self.read(request.POST)
        form.is_valid()
        part = previewed(request, form, self.stored)
        if part is not None:
            return part
        draft = form.instance
        preview = {"is_previewed": True, "stored": self.stored, "draft": draft, "overlaps": overlaps_of(draft)}
        is_stale = request.POST.get("version") != str(self.stored.version)
        if is_stale or resolution.chosen or self.stored.is_final:
            return self.conflict_page(form, resolution, is_stale, **preview)
        return self.form_page(form, **preview)
