"""Headers of every answer but static files: what browsers may load and use here, and that no one else keeps a copy."""

from collections.abc import Callable
from http import HTTPStatus

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control

# What would matter if a script got in. Few, because each answer carries them.
PERMISSIONS_POLICY = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
# Django's own pages for developers have styles inline.
_DEBUG_PAGES = (HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR)


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        # It has no nonce, so it is the same for all answers. The library's own middleware makes it twice for each.
        self._policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        if not (settings.DEBUG and response.status_code in _DEBUG_PAGES):
            response.headers.setdefault(HEADER, self._policy)
        if not response.has_header("Cache-Control"):
            # Pages and answers of the API are for one person or token, and shown again only after asking the server.
            patch_cache_control(response, private=True, no_cache=True)
        return response
