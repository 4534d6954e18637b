"""Creating and editing a change on a page of its own, and what happens when two people edit at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from . import audit
from .actor import signed_in
from .change_views import OneChange
from .exceptions import FieldEdit, StaleChange
from .forms import ChangeForm
from .models import Change
from .pages import refuse_stale
from .staff import StaffPage

CONFLICT = 409


@dataclass(frozen=True)
class Conflict:
    """What somebody else changed on a field, and what this person has typed there, if anything."""

    theirs: audit.Edit
    typed: str | None


class ChangeCreate(StaffPage):
    permission = "changes.add_change"
    is_write_page = True

    def get(self, request: HttpRequest) -> HttpResponse:
        return self.page(ChangeForm(instance=Change(requested_by=signed_in(request))))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ChangeForm(request.POST, instance=Change(requested_by=signed_in(request)))
        if not (form.is_valid() and form.save_or_explain()):
            return self.page(form)
        messages.success(request, f"{form.instance.number} was created.")
        return redirect("changes:detail", form.instance.number)

    def page(self, form: ChangeForm) -> HttpResponse:
        return render(self.request, "changes/form.html", {"form": form, "change": None})


class ChangeEdit(OneChange):
    permission = "changes.change_change"
    is_write_page = True

    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        return self.form_page(ChangeForm(instance=self.change))

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        seen = request.POST.get("version", "")
        form = ChangeForm(request.POST, instance=self.change, base=self._as_seen(seen))
        try:
            refuse_stale(self.change, seen)
            if self.change.is_final:
                return self._refused(form, {})
            if not (form.is_valid() and form.save_or_explain()):
                return self.form_page(form)
        except StaleChange as stale:
            return self._refused(form, stale.edits)
        if self.change.changed_fields:
            messages.success(request, f"{number} was saved.")
        else:
            messages.info(request, "Nothing was changed, so nothing was saved.")
        return self.back()

    def form_page(self, form: ChangeForm, status: int = 200, **context: Any) -> HttpResponse:
        context = {"form": form, "change": self.change, **context}
        return render(self.request, "changes/form.html", context, status=status)

    def _as_seen(self, version: str) -> dict[str, Any]:
        """The values of the fields in the version that the person began to edit, if it is still known."""
        if not version.isascii() or not version.isdigit() or len(version) > 9:
            return {}
        record = self.change.history.filter(version=version).first()
        if record is None:
            return {}
        return {name: getattr(record, audit.attname(name)) for name in ChangeForm.Meta.fields}

    def _refused(self, form: ChangeForm, edits: Mapping[str, FieldEdit]) -> HttpResponse:
        """Shows what the other person changed, and keeps what was typed; another save then goes on top of theirs."""
        typed = {name: form.data.get(name, "") for name in form.changed_data if name in ChangeForm.Meta.fields}
        del self.change  # what is stored now, not what the form has put on it
        fresh = ChangeForm(instance=self.change)
        fresh.initial.update({name: text for name, text in typed.items() if not fresh.fields[name].disabled})
        conflicts = [Conflict(edit, typed.get(edit.field)) for edit in audit.in_words(edits)]
        return self.form_page(fresh, CONFLICT, is_refused=True, conflicts=conflicts, typed=self._labelled(typed))

    def _labelled(self, typed: Mapping[str, str]) -> list[tuple[str, str]]:
        return [(audit.label(name), text) for name, text in typed.items()]
