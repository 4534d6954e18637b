"""The tries to sign in that django-axes keeps, which have a name and no account."""

from __future__ import annotations

from collections.abc import Iterator

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db.models import QuerySet

MODELS = (AccessAttempt, AccessFailureLog, AccessLog)


def tries_of(username: str) -> Iterator[QuerySet[AccessAttempt | AccessFailureLog | AccessLog]]:
    for model in MODELS:
        yield model.objects.filter(username=username).order_by("pk")
