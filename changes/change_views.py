"""The page of one change: its address, and what is decided on it. What it shows: pages.py."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import cached_property

from . import workflow
from .actor import signed_in
from .choices import Decision, Phase
from .exceptions import ChangeRefused, ConditionsUnmet, StaleChange
from .forms import ApprovalForm
from .models import Approval, Change
from .pages import ChangePage, find, refuse_stale, stale_in_words
from .staff import StaffPage, require


class OneChange(StaffPage):
    """A view of the change that the address names."""

    @cached_property
    def change(self) -> Change:
        return find(self.request.user, self.kwargs["number"])

    def page(self, status: int = 200, **forms: Any) -> HttpResponse:
        everything = self.request.GET.get("show") == "all"
        page = ChangePage(self.change, self.request.user, everything, **forms)
        return render(self.request, "changes/detail.html", {"change": self.change, "page": page}, status=status)

    def back(self, anchor: str = "") -> HttpResponse:
        return redirect(reverse("changes:detail", args=[self.kwargs["number"]]) + anchor)


class ChangeDetail(OneChange):
    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        return self.page()


# --- What is done on the page of a change ---


class OnPage(OneChange):
    """Something that is POSTed from the page of a change; its address, opened, leads back there."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
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
            messages.error(request, stale_in_words(stale, "It was not moved."))
        except (ConditionsUnmet, ChangeRefused) as refused:
            messages.error(request, f"{number} was not moved. {refused}")
        except ValidationError as error:
            messages.error(request, f"{number} was not moved. {' '.join(error.messages)}")
        else:
            messages.success(request, f"{number} is in {Phase(target).value} now.")
        return self.back()


class ApprovalAdd(OnPage):
    permission = "changes.approve_change"

    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        form = ApprovalForm(request.POST)
        if not form.is_valid():
            return self.page(approval_form=form)
        approval: Approval = form.save(commit=False)
        approval.author = signed_in(request)
        try:
            with transaction.atomic():
                # A plan is approved as it was read: under the lock, nobody alters it in between.
                approval.change = Change.objects.locked().get(pk=self.change.pk)
                refuse_stale(approval.change, request.POST.get("version"))
                approval.save()
        except StaleChange as stale:
            messages.error(request, stale_in_words(stale, "Your decision was not recorded."))
        except ChangeRefused as refused:
            messages.error(request, str(refused))
        else:
            word = "approved" if approval.decision == Decision.APPROVED else "denied"
            messages.success(request, f"You have {word} the plan of {number}.")
        return self.back("#approvals")
