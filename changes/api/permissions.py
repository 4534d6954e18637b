"""Permissions of the API: any member of staff may read; writing needs a permission that the view names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission

from changes.actor import Person

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


def require(user: Person, *permissions: str) -> None:
    """Raises PermissionDenied unless the user has one of these permissions. The error names them."""
    if not any(user.has_perm(permission) for permission in permissions):
        raise PermissionDenied(f"This needs the permission {' or '.join(permissions)}, which you do not have.")


def is_write(request: Request, view: APIView) -> bool:
    """Whether the call writes. False for a method that the view does not have, which gets 405 later."""
    return request.method not in SAFE_METHODS and hasattr(view, (request.method or "").lower())


class StaffAccess(BasePermission):
    """Access for staff. A write needs one of the view's `write_permissions`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        if not request.user.is_staff:
            raise PermissionDenied("Only members of staff may call this.")
        if is_write(request, view):
            require(request.user, *view.write_permissions)
        return True
