"""The choice of a person: the active accounts of people, without those of programs."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet


class _Hooks:
    """Set by the app that knows programs: the condition on an account that is of one."""

    programs: Callable[[], Q] = staticmethod(lambda: Q(pk__in=[]))


hooks = _Hooks()


def choosable(kept: Q | None = None) -> QuerySet[User]:
    """Those who may be chosen, by their names. `kept`: accounts that are chosen already, whatever they are."""
    offered = Q(is_active=True) & ~hooks.programs()
    return User.objects.filter(offered | kept if kept else offered).order_by("username")
