"""Permissions for partners: they may read what belongs to them, and write only by sending operations and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from django.urls import reverse
from rest_framework.exceptions import PermissionDenied

from changes.api.permissions import StaffAccess, is_write
from integrations.models import ExternalSystem

if TYPE_CHECKING:
    from rest_framework.request import Request


def partner_systems(user: User, *, are_staff_let_in: bool = True) -> list[ExternalSystem]:
    """The enabled systems whose authorized user this is.

    Raises PermissionDenied if there are none. `are_staff_let_in`: whether staff may make the call, for its text.
    """
    systems = list(ExternalSystem.objects.filter(authorized_user=user))
    enabled = [system for system in systems if system.enabled]
    if enabled:
        return enabled
    if systems:
        raise PermissionDenied("Your system is disabled here. Ask the service desk to enable it.")
    if are_staff_let_in:
        raise PermissionDenied("Only members of staff, and the authorized users of external systems, may call this.")
    raise PermissionDenied("Only the authorized users of external systems may call this.")


class StaffOrPartner(StaffAccess):
    """As StaffAccess for staff, read-only for partners, unless the view has `partners_write`.

    Sets `view.partner`: the partner's systems, None for staff.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        view.partner = None
        if not request.user.is_authenticated or request.user.is_staff:
            return super().has_permission(request, view)
        view.partner = partner_systems(request.user)
        if is_write(request, view) and not getattr(view, "partners_write", False):
            raise PermissionDenied(
                f"A partner can change records only by POST {reverse('api:operations')}, and attach files."
            )
        return True
