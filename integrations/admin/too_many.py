"""How many records a person decides about at a time."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

# The page that asks posts each of them back, and a person is to read them.
MOST = 500


def are_too_many(admin: ModelAdmin, request: HttpRequest, chosen: QuerySet[Any], advice: str) -> bool:
    """Whether more are chosen than the page that asks can carry, which the person is told then."""
    count = chosen.count()
    if count > MOST:
        text = f"{count} are chosen, and at most {MOST} are taken at a time: nothing was changed. {advice}"
        admin.message_user(request, text, messages.ERROR)
    return count > MOST
