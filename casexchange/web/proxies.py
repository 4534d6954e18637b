"""The address of a caller behind our own proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class ClientAddressMiddleware:
    """Sets `REMOTE_ADDR` to the address of the caller, as the proxies of `TRUSTED_PROXIES` pass it on.

    Only a request that comes from such a proxy is believed, and only as far back as the chain of them reaches: anybody
    can write a header.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXIES and is_trusted(request.META.get("REMOTE_ADDR", "")):
            passed_on = request.headers.get("X-Forwarded-For", "").split(",")
            for address in (part.strip() for part in reversed(passed_on)):
                if not _is_address(address):
                    break
                request.META["REMOTE_ADDR"] = address
                if not is_trusted(address):
                    break
        return self.get_response(request)


def is_trusted(address: str) -> bool:
    """Whether this is the address of one of our proxies."""
    return _is_address(address) and any(ipaddress.ip_address(address) in each for each in settings.TRUSTED_PROXIES)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
