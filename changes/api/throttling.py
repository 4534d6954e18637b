"""The rate limits of the API: for each token, for each address, and for calls without a valid token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.throttling import BaseThrottle

from changes.protection.addresses import counted
from changes.rate_limits import Rate, use, wait_for

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request
    from rest_framework.views import APIView


class ApiThrottle(BaseThrottle):
    """Counts a call for its token and its address; without a token for its address alone, at a lower rate."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.META.get("casexchange.is_second_call"):
            return True  # counted before its body was read
        self._wait = _count(request)
        return not self._wait

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._wait


def count_more(request: Request) -> None:
    """Counts what a call asks for besides as a call of its own. Raises Throttled if that is too much.

    Do not call it in a transaction: a rollback would undo the count.
    """
    if wait := _count(request):
        raise Throttled(wait)


def _count(request: Request) -> float:
    """Returns 0, or the seconds to wait."""
    address = counted(address_of(request))
    if request.user.is_authenticated:
        token = f"token:{getattr(request, 'token_digest', request.user.pk)}"
        limits = {token: settings.API_RATE_LIMIT, f"address:{address}": settings.API_ADDRESS_RATE_LIMIT}
    else:
        limits = {f"anonymous:{address}": settings.API_ANONYMOUS_RATE_LIMIT}
    rates = [(name, rate) for name, text in limits.items() if (rate := Rate.read(text))]
    return max((use(name, rate) for name, rate in rates), default=0.0)


def refuse_many_failures(request: Request) -> None:
    """Raises Throttled for an address that made too many calls without a valid token. Asks memory only."""
    rate = Rate.read(settings.API_ANONYMOUS_RATE_LIMIT)
    if rate and (wait := wait_for(f"anonymous:{counted(address_of(request))}", rate)):
        raise Throttled(wait)


def count_failure(request: Request) -> None:
    """Counts a call without a valid token for its address."""
    rate = Rate.read(settings.API_ANONYMOUS_RATE_LIMIT)
    if rate and not request.META.get("casexchange.is_second_call"):
        use(f"anonymous:{counted(address_of(request))}", rate)


def address_of(request: Request | HttpRequest) -> str:
    """The caller's address. Behind a trusted proxy, the one that the proxy names: see casexchange/web/proxies.py."""
    return str(request.META.get("REMOTE_ADDR", ""))
