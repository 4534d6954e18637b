"""The page "Connect" of one system."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from changes.pages.access import StaffPage
from integrations.choices import Delivery
from integrations.models import ExternalSystem
from integrations.standing.flow import flow_of

from .sheet import sheet_of


class Connect(StaffPage):
    """What the partner's administrator enters on their side. For those who may edit the system."""

    permission = "integrations.change_externalsystem"
    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        # With the secrets, of which the page says only whether they are set.
        systems = ExternalSystem.objects.select_related("control", "authorized_user")
        system = systems.filter(system_id=system_id).first()
        if system is None:
            raise Http404(_("There is no external system with this id."))
        if system.delivery == Delivery.MAPPED:
            return redirect("exchange:connection", system.system_id)
        context = {"system": system, "sheet": sheet_of(system), "flow": flow_of(system, timezone.now())}
        return render(request, "integrations/connect.html", context)
