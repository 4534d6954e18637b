"""The limit on how many records an admin action handles at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The confirmation page lists every record for a person to read, and posts each of them back.
MOST = 500


def are_too_many(admin: ModelAdmin, request: HttpRequest, chosen: QuerySet[Any], advice: StrOrPromise) -> bool:
    """Whether more than MOST records are chosen. If so, shows the user an error that ends with `advice`."""
    count = chosen.count()
    if count > MOST:
        text = _("Nothing was changed: %(count)s are chosen, but at most %(most)s are possible at a time. %(advice)s")
        admin.message_user(request, text % {"count": count, "most": MOST, "advice": advice}, messages.ERROR)
    return count > MOST
