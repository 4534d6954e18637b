"""A rate limit for each user, cheap enough for every request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from rest_framework.settings import api_settings
from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class PerUserThrottle(UserRateThrottle):
    """Counts the requests of a user in windows of fixed length, with two cache calls for each request.

    The rate comes from the settings, as in `6000/minute`. None means no limit.
    """

    scope: str
    duration: int
    num_requests: int

    def get_rate(self) -> str | None:
        # Read at each call: the parent's class attribute keeps the setting as it was at import.
        rates: Any = api_settings.DEFAULT_THROTTLE_RATES
        return rates.get(self.scope)

    def allow_request(self, request: Request, view: APIView) -> bool:
        if self.rate is None:
            return True
        now = time.time()
        window = int(now // self.duration)
        self._left = (window + 1) * self.duration - now
        key = f"{self.get_cache_key(request, view)}:{window}"
        cache.add(key, 0, self.duration)
        try:
            return cache.incr(key) <= self.num_requests
        except ValueError:
            # The cache evicted the counter in between; the next request starts a new one.
            return True

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._left
