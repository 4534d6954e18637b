"""Notes when and from where a token is used, without a write for each call."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import Error, transaction
from django.db.models import Q
from django.utils import timezone
from knox.models import AuthToken

from changes.conflicts import is_unavailable, written_apart
from integrations.models import TokenLife

logger = logging.getLogger(__name__)

# A use is noted if the last noted one is older than this.
PAUSE = timedelta(minutes=5)


def note_use(token: AuthToken, last_used: Any, is_first: bool, address: str) -> None:
    """Notes a use of `token` from `address`, unless the one at `last_used` was noted a short time ago.

    `is_first`: whether nothing is noted of this token yet. Writes in a transaction of its own, so that it holds no lock
    while the call goes on. Raises IntegrityError if the token was revoked meanwhile.
    """
    now = timezone.now()
    if last_used is not None and abs(now - last_used) < PAUSE:
        return
    used = {"last_used_at": now, "last_used_from": address[:64]}
    try:
        with written_apart(), transaction.atomic():
            if is_first:
                TokenLife.objects.bulk_create([TokenLife(token_id=token.digest, **used)], ignore_conflicts=True)
            else:
                # Of several processes that get here at the same time, one writes. The clock may have been set back.
                older = Q(last_used_at=None) | Q(last_used_at__lt=now - PAUSE) | Q(last_used_at__gt=now + PAUSE)
                TokenLife.objects.filter(older, token=token.digest).update(**used)
    except Error as error:
        if not is_unavailable(error):
            raise
        # A call that only reads is answered even while nothing can be written.
        logger.warning("The use of a token could not be noted: %s", error)
