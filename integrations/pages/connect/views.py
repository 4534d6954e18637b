"""The pages "Connect a partner", which makes one, and "Connect" of one system."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from changes.actor import signed_in
from changes.pages.access import StaffPage, require
from changes.pages.once import once
from changes.pages.resume import typed_before
from changes.pages.sign_in.confirming import ask_again
from integrations.choices import Delivery
from integrations.models import ExternalSystem
from integrations.standing.status import status_of, with_traffic

from .partner_form import PartnerForm
from .registering import PERMISSIONS, register
from .sheet import NOTHING_FRESH, Fresh, sheet_of


class ConnectPartner(StaffPage):
    """One form for all that a partner needs. Its answer shows the secrets, once."""

    permission = PERMISSIONS[0]
    is_write_page = True

    def get(self, request: HttpRequest) -> HttpResponse:
        self._require_all(request)
        if asked := ask_again(request):
            return asked
        initial: dict[str, Any] = {name: request.GET[name] for name in ("kind", "preset") if name in request.GET}
        if typed := typed_before(request):
            initial |= {**typed.dict(), "groups": typed.getlist("groups")}
        return self._page(request, PartnerForm(initial=initial))

    @method_decorator(sensitive_post_parameters())
    @method_decorator(sensitive_variables("form", "fresh"))
    def post(self, request: HttpRequest) -> HttpResponse:
        self._require_all(request)
        if asked := ask_again(request, keeps_typed=True):
            return asked
        form, fresh = PartnerForm(request.POST), NOTHING_FRESH
        try:
            with once(request) as sent:
                if not sent.led_to and form.is_valid():
                    system, fresh = register(form, signed_in(request))
                    sent.led_to = system.system_id
        except (IntegrityError, ValidationError):
            # Somebody took a name, or gave a group members, at the same moment. The form says which.
            form = PartnerForm(request.POST)
            if form.is_valid():
                form.add_error(None, _("Somebody changed something of this at the same moment. Connect again."))
            return self._page(request, form)
        if not sent.led_to:
            return self._page(request, form)
        if sent.is_again:
            text = _("Submitted twice, saved once. The secrets were shown the first time; make new ones if need be.")
            messages.warning(request, text)
            return redirect("exchange:connect", sent.led_to)
        return sheet_page(request, _system(sent.led_to), fresh)

    def _require_all(self, request: HttpRequest) -> None:
        for permission in PERMISSIONS:
            require(request.user, permission)

    def _page(self, request: HttpRequest, form: PartnerForm) -> HttpResponse:
        if form.is_to_adapt:
            form.errors.clear()  # the person has only asked for the document so far
        return render(request, "integrations/connect_partner.html", {"form": form})


class Connect(StaffPage):
    """What the partner's administrator enters on their side. For those who may edit the system."""

    permission = "integrations.change_externalsystem"
    is_write_page = True

    def get(self, request: HttpRequest, system_id: str) -> HttpResponse:
        system = _system(system_id)
        if system.delivery == Delivery.MAPPED:
            return redirect("exchange:connection", system.system_id)
        return sheet_page(request, system)


def _system(system_id: str) -> ExternalSystem:
    # With the secrets, of which the page says only whether they are set.
    systems = with_traffic(ExternalSystem.objects.select_related("authorized_user"), timezone.now()).defer(None)
    system = systems.filter(system_id=system_id).first()
    if system is None:
        raise Http404(_("There is no external system with this id."))
    return system


def sheet_page(request: HttpRequest, system: ExternalSystem, fresh: Fresh = NOTHING_FRESH) -> HttpResponse:
    """The sheet of one system. `fresh`: what was made just now; such an answer is kept by no browser."""
    context = {
        "system": system,
        "sheet": sheet_of(system, fresh),
        "flow": status_of(system, timezone.now()).flow,
        "is_new": fresh is not NOTHING_FRESH,
    }
    response = render(request, "integrations/connect.html", context)
    if context["is_new"]:
        response["Cache-Control"] = "private, no-store"
    return response
