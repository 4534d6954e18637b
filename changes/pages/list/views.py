"""The list of changes, which its address searches, filters, sorts and pages; its CSV export; and the saved filters."""

from __future__ import annotations

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_htmx.http import HttpResponseClientRedirect

from changes.actor import signed_in
from changes.models import Change, SavedFilter
from changes.models.personal.looks import news_since_looked
from changes.pages.access import StaffPage
from changes.pages.csv_file import download
from changes.pages.from_replica import reads_from_replica
from changes.pages.htmx import asks_for_part, lead_to
from changes.queries.keyset import Page
from changes.queries.querysets import ChangeQuerySet
from changes.texts.lines import Line
from changes.validators import validate_text

from . import export, export_tables
from .filters import ChangeFilter, tidy
from .paging import DEFAULT, Sort, Walk
from .total import total_of

for _table in export_tables.TABLES:
    export.offer_table(_table)
# The text fields in the address. They search while a person types.
TYPED = ("q",)
# The parameter of a search that was sent with Enter: what names one change leads to that change.
GO = "go"
# The permissions of the bulk actions. Without any of them, the list has no boxes to tick.
BULK_PERMISSIONS = (
    "changes.change_change",
    "changes.add_comment",
    "changes.approve_change",
    "changes.abandon_change",
)


def _sort(data: QueryDict) -> Sort:
    """The order in the address. Newest first if there is none, or an unknown one."""
    return Sort.read(data.get("sort", "")) or Sort.read(DEFAULT) or Sort("number", True)


def _since_yesterday() -> str:
    """The filters for what happened since yesterday, the latest first."""
    return urlencode({"active_since": str(timezone.localdate() - timedelta(days=1)), "sort": "-activity"})


def _address(query: str) -> str:
    return reverse("changes:list") + (f"?{query}" if query else "")


class ChangeList(StaffPage):
    """The list of changes; for htmx only the part that the filters affect."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if GO in request.GET:
            filterset = ChangeFilter(request.GET, request.user)
            if filterset.is_valid():
                return self._go(filterset)
        return self._list(request)

    @reads_from_replica
    def _list(self, request: HttpRequest) -> HttpResponse:
        filterset, sort = ChangeFilter(request.GET, request.user), _sort(request.GET)
        query, wanted = tidy(request.GET), request.GET.get("sort", "")
        is_kept = query.urlencode() in {saved.query for saved in filterset.options.saved}
        is_known = not wanted or Sort.read(wanted) is not None
        page = self._page(filterset, sort)
        context = {
            "filter": filterset,
            "order": sort,
            "is_known_order": is_known,
            "page": page,
            "total": total_of(filterset, sort, page) if filterset.is_valid() else None,
            "news": news_since_looked(signed_in(request).pk, page.rows),
            "since_yesterday": _since_yesterday(),
            "tables": export.TABLES.values(),
            "tidy": query,
            "query": query.urlencode(),
            "may_tick": any(map(request.user.has_perm, BULK_PERMISSIONS)),
            "may_save": bool(query) and filterset.is_valid() and is_known and not is_kept,
        }
        if not asks_for_part(request):
            return render(request, "changes/list.html", context)
        response = render(request, "changes/includes/list_results.html", {**context, "is_part": True})
        lead_to(response, request, _address(query.urlencode()), TYPED)
        return response

    def _go(self, filterset: ChangeFilter) -> HttpResponse:
        """Opens the one change that the search names, whatever the other filters are; else the list."""
        typed = filterset.form.cleaned_data["q"]
        named = Change.objects.visible_to(self.request.user).only("number").named(typed) if typed else None
        address = (
            reverse("changes:detail", args=[named.number]) if named else _address(tidy(self.request.GET).urlencode())
        )
        return HttpResponseClientRedirect(address) if asks_for_part(self.request) else redirect(address)

    def _page(self, filterset: ChangeFilter, sort: Sort) -> Page[Change]:
        if not filterset.is_valid():
            return Page([])
        walk = Walk(filterset.qs.for_rows(), sort, filterset.is_scattered, filterset.nearby.for_rows())
        return walk.page(self.request.GET.get("after", ""), self.request.GET.get("before", ""))


class ChangeExport(StaffPage):
    """The changes that the filters match, as a CSV file."""

    @reads_from_replica
    def get(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        filterset = ChangeFilter(request.GET, request.user)
        if not filterset.is_valid():
            return redirect(_address(tidy(request.GET).urlencode()))
        rows, nearby = (self.read(found) for found in (filterset.qs, filterset.nearby))
        return self.file(Walk(rows, _sort(request.GET), filterset.is_scattered, nearby))

    def read(self, found: ChangeQuerySet) -> ChangeQuerySet:
        return found.for_rows().select_related("owning_group", "requested_by")

    def file(self, walk: Walk, of: str = "") -> HttpResponseBase:
        """`of`: the number of the only change."""
        return download(of or "changes", export.lines(walk))


class TableExport(ChangeExport):
    """What belongs to the changes that the filters match, as a CSV file: see `export.TABLES`."""

    def read(self, found: ChangeQuerySet) -> ChangeQuerySet:
        return found.for_rows().select_related(None)

    def file(self, walk: Walk, of: str = "") -> HttpResponseBase:
        table = export.TABLES.get(self.kwargs["table"])
        if table is None:
            raise Http404(_("There is no such file."))
        return download(f"{of}-{table.name}" if of else table.name, export.table_lines(table, walk))


# --- Saved filters ---


class SavedFilterForm(forms.Form):
    name = Line(
        label=gettext_lazy("Name"),
        max_length=60,
        validators=[validate_text],
        error_messages={"required": gettext_lazy("Give the filter a name.")},
    )
    query = forms.CharField(required=False, max_length=2000, widget=forms.HiddenInput)
    replace = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean_query(self) -> str:
        return tidy(QueryDict(self.cleaned_data["query"])).urlencode()


class SavedFilterAdd(StaffPage):
    """Saves the filters of an address under a name. If the name is taken, the person must confirm the replacement."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("changes:list")

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SavedFilterForm(request.POST)
        if not form.is_valid():
            return self._ask(form, 400)
        name, query = form.cleaned_data["name"], form.cleaned_data["query"]
        own = SavedFilter.objects.filter(user=request.user.pk, name=name)
        if own.exclude(query=query).exists() and not form.cleaned_data["replace"]:
            return self._ask(form, 409)
        with transaction.atomic():
            SavedFilter.objects.update_or_create(user=signed_in(request), name=name, defaults={"query": query})
        messages.success(request, _("The filter %(name)s was saved.") % {"name": name})
        return redirect(_address(query))

    def _ask(self, form: SavedFilterForm, status: int) -> HttpResponse:
        query = tidy(QueryDict(form.data.get("query", "")[:2000])).urlencode()
        context = {"form": form, "query": query, "is_taken": status == 409}
        return render(self.request, "changes/save_filter.html", context, status=status)


class SavedFilterDelete(StaffPage):
    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return redirect("changes:list")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        saved = SavedFilter.objects.filter(user=request.user.pk, pk=pk).first()
        if saved is None:
            raise Http404(_("You have no such filter."))
        saved.delete()
        messages.success(request, _("The filter %(name)s was deleted.") % {"name": saved.name})
        return redirect(_address(saved.query))
