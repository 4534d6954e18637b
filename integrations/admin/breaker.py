"""Opening and closing a system's circuit breaker by hand."""

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.forms import Textarea
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.models import ExternalSystem
from integrations.outgoing import breaker
from integrations.pages.by_hand_forms import BREAKER_REASON_LENGTH, OpenBreakerForm
from integrations.standing.status import status_of


def breaker_page(admin: ModelAdmin, request: HttpRequest, system: ExternalSystem) -> HttpResponse:
    """GET shows the circuit breaker of `system`, read `with_traffic()`; POST opens it with a reason, or closes it."""
    form = OpenBreakerForm(request.POST if request.POST.get("decision") == "open" else None)
    form.fields["reason"].widget = Textarea(attrs={"rows": 2, "maxlength": BREAKER_REASON_LENGTH})
    if request.method == "POST":
        if request.POST.get("decision") == "close":
            breaker.close_by_hand(system, request.user)
            text = _("Closed the circuit breaker of %(system)s: what is due is sent now.")
            admin.message_user(request, text % {"system": system}, messages.SUCCESS)
            return redirect("admin:integrations_externalsystem_change", system.pk)
        if form.is_valid():
            breaker.open_by_hand(system, request.user, form.cleaned_data["reason"])
            text = _("Opened the circuit breaker of %(system)s: nothing is sent until it is closed.")
            admin.message_user(request, text % {"system": system}, messages.SUCCESS)
            return redirect("admin:integrations_externalsystem_change", system.pk)
    return TemplateResponse(
        request,
        "admin/integrations/externalsystem/breaker.html",
        {
            **admin.admin_site.each_context(request),
            "title": _("Circuit breaker of %(system)s") % {"system": system},
            "opts": admin.opts,
            "system": system,
            "status": status_of(system, timezone.now()),
            "form": form,
        },
    )
