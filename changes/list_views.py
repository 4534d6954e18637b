"""The list of changes: searched, filtered, sorted and paged by its address."""

from __future__ import annotations

from django.core.paginator import Page
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .listing import PAGE_SIZE, CappedPaginator, ChangeFilter, sort
from .models import Change
from .staff import StaffPage


class ChangeList(StaffPage):
    """All changes: searched, filtered, sorted and paged by the address."""

    def get(self, request: HttpRequest) -> HttpResponse:
        filterset = ChangeFilter(request.GET, queryset=Change.objects.visible_to(request.user).with_people())
        found = filterset.qs if filterset.is_valid() else Change.objects.none()
        rows, order = sort(found, request.GET.get("sort", ""))
        paginator = CappedPaginator(rows, PAGE_SIZE)
        page: Page = paginator.get_page(request.GET.get("page"))
        context = {"filter": filterset, "page": page, "paginator": paginator, "order": order}
        return render(request, "changes/list.html", context)
