"""How many records a person decides about at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The page that asks posts each of them back, and a person is to read them.
MOST = 500


def are_too_many(admin: ModelAdmin, request: HttpRequest, chosen: QuerySet[Any], advice: StrOrPromise) -> bool:
    """Whether more are chosen than the page that asks can carry, which the person is told then."""
    count = chosen.count()
    if count > MOST:
        text = _("%(count)s are chosen, and at most %(most)s are taken at a time: nothing was changed. %(advice)s")
        admin.message_user(request, text % {"count": count, "most": MOST, "advice": advice}, messages.ERROR)
    return count > MOST
