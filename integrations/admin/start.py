"""The admin page that enables a disabled system or resumes a paused one.

It shows the waiting operations; the user decides whether they are sent or skipped.
"""

from copy import copy
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.models import ExternalSystem
from integrations.outgoing import outbox
from integrations.standing.flow import Flow, flow_of

from .forms import StartForm

SKIP_PERMISSION = "integrations.skip_outgoingoperation"


def start_page(admin: ModelAdmin, request: HttpRequest, system: ExternalSystem) -> HttpResponse:
    """GET shows the operations that wait for `system`. POST sends or skips them and enables or resumes the system."""
    change_url = reverse("admin:integrations_externalsystem_change", args=[system.pk])
    flow = flow_of(system, timezone.now())
    if not flow.is_stopped:
        text = _("Operations flow to %(system)s already.") % {"system": system}
        admin.message_user(request, text, messages.INFO)
        return redirect(change_url)
    form = StartForm(request.POST or None)
    may_skip = request.user.has_perm(SKIP_PERMISSION)
    if request.method == "POST" and form.is_valid():
        skipping = form.cleaned_data["decision"] == StartForm.SKIP
        if not skipping or may_skip:
            _start(admin, request, system, form if skipping else None)
            return redirect(change_url)
        form.add_error(None, _("You may not skip operations."))
    return TemplateResponse(
        request,
        "admin/integrations/externalsystem/start.html",
        {
            **admin.admin_site.each_context(request),
            "title": (_("Resume %(system)s") if system.enabled else _("Enable %(system)s")) % {"system": system},
            "opts": admin.opts,
            "system": system,
            "flow": flow,
            "flow_then": _flow_then(system),
            "form": form,
            "may_skip": may_skip,
            **_waiting(system),
        },
    )


def _flow_then(system: ExternalSystem) -> Flow:
    """The flow once the system is enabled and not paused: its circuit breaker may still hold all back."""
    then = copy(system)
    then.enabled, then.paused_at = True, None
    return flow_of(then, timezone.now())


def _waiting(system: ExternalSystem) -> dict[str, Any]:
    waiting = outbox.unsettled(system)
    kinds = waiting.order_by("operation").values("operation").annotate(count=Count("pk"), oldest=Min("created_at"))
    totals = waiting.aggregate(count=Count("pk"), oldest=Min("created_at"), newest=Max("created_at"))
    newest = totals["newest"]
    return {**totals, "kinds": kinds, "shown_until": newest.isoformat() if newest else ""}


def _start(admin: ModelAdmin, request: HttpRequest, system: ExternalSystem, skip: StartForm | None) -> None:
    # The admin's history is always English; the message is in the user's language.
    done = f"{'Resumed' if system.enabled else 'Enabled'} {system}"
    said, values = _("Resumed %(system)s.") if system.enabled else _("Enabled %(system)s."), {"system": str(system)}
    with transaction.atomic():
        if skip is not None:
            reason = skip.cleaned_data["reason"]
            shown = outbox.unsettled(system).filter(created_at__lte=skip.cleaned_data["shown_until"])
            skipped = outbox.skip_all(shown.select_related("system"), request.user, reason)
            done += f"; skipped operations: {skipped}. Reason: {reason}"
            said = _("Enabled %(system)s; skipped operations: %(skipped)s. Reason: %(reason)s")
            if system.enabled:
                said = _("Resumed %(system)s; skipped operations: %(skipped)s. Reason: %(reason)s")
            values |= {"skipped": str(skipped), "reason": reason}
        else:
            done += "."
        if not system.enabled:
            system.enabled = True
            system.save(update_fields=["enabled"])
            outbox.wake_on_commit()
        if system.paused_at is not None:
            outbox.resume(system)
        admin.log_change(request, system, done)
    left = outbox.unsettled(system).count()
    text = _("%(done)s Operations to send now: %(count)s.")
    if system.collects:
        text = _("%(done)s Operations to collect now: %(count)s.")
    flow = flow_of(ExternalSystem.objects.select_related("control").get(pk=system.pk), timezone.now())
    if flow.is_holding:  # by the circuit breaker, perhaps by hand
        text = _("%(done)s Operations that wait: %(count)s. %(why)s")
    text %= {"done": said % values, "count": left, "why": flow.detail}
    admin.message_user(request, text, messages.WARNING if flow.is_holding else messages.SUCCESS)
