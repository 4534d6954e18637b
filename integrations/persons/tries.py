"""The tries to sign in that django-axes keeps, which have a name and no account."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from allauth.account.models import EmailAddress
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Lower

MODELS = (AccessAttempt, AccessFailureLog, AccessLog)


def names_of(user: User) -> set[str]:
    """What the person may have given to sign in: the name, or an address. In small letters."""
    addresses = EmailAddress.objects.filter(user=user).values_list("email", flat=True)
    return {name.lower() for name in (user.get_username(), user.email, *addresses) if name}


def tries_of(names: Collection[str]) -> Iterator[QuerySet[AccessAttempt | AccessFailureLog | AccessLog]]:
    """`names` are in small letters. People also write them otherwise."""
    for model in MODELS:
        yield model.objects.annotate(lower=Lower("username")).filter(lower__in=names).order_by("pk")
