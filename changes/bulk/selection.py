"""The changes that a bulk action is for: the ticked ones, or all that match the list's filters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from changes.models import Change
from changes.pages.list import filters
from changes.pages.list.paging import Sort
from changes.queries.querysets import ChangeQuerySet

# The maximum number of changes in a bulk action. Nobody would check a longer preview.
LARGEST = 1000


@dataclass
class Selection:
    """The changes that a person chose on the list. `query` is the list's query string."""

    numbers: list[str]
    is_all: bool
    query: str
    user: Any

    @classmethod
    def posted(cls, request: HttpRequest) -> Selection:
        """The selection that the bar of the list posts."""
        is_all = request.POST.get("scope") == "all"
        return cls(request.POST.getlist("change"), is_all, request.POST.get("query", ""), request.user)

    @classmethod
    def named(cls, request: HttpRequest) -> Selection:
        """The selection in the address of a bulk form."""
        is_all = request.GET.get("scope") == "all"
        return cls(request.GET.getlist("change"), is_all, request.GET.get("query", ""), request.user)

    @property
    def address(self) -> str:
        """The query string that names this selection, for `named()`."""
        if self.is_all:
            return urlencode({"scope": "all", "query": self.query})
        return urlencode([("query", self.query), *(("change", number) for number in self.numbers)])

    @property
    def list_address(self) -> str:
        return reverse("changes:list") + (f"?{self.query}" if self.query else "")

    @cached_property
    def _found(self) -> list[Change]:
        if self.is_all:
            found = self._matching().with_people().order_by("-id")
        else:
            numbers = self.numbers[: LARGEST + 1]
            found = Change.objects.visible_to(self.user).filter(number__in=numbers).with_people().order_by("-id")
        return list(found[: LARGEST + 1])

    def _matching(self) -> ChangeQuerySet:
        try:
            found = filters.matching(self.query, self.user)
        except filters.InvalidFilter:
            return Change.objects.none()  # the list shows no changes then, either
        sort = Sort.read(QueryDict(self.query).get("sort", ""))
        return sort.narrowed(found) if sort else found

    @property
    def changes(self) -> list[Change]:
        return self._found[:LARGEST]

    @property
    def is_too_large(self) -> bool:
        return len(self._found) > LARGEST or len(self.numbers) > LARGEST
