"""Headers of every answer but static files: what browsers may use here, and that no one else keeps a copy."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control

# A security key and the copy button are used here. Nothing else is, also not by a script that got in.
_UNUSED = (
    "accelerometer browsing-topics camera display-capture encrypted-media geolocation gyroscope hid magnetometer "
    "microphone midi payment screen-wake-lock serial usb xr-spatial-tracking"
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in _UNUSED.split())


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        if not response.has_header("Cache-Control"):
            # Pages and answers of the API are for one person or token, and shown again only after asking the server.
            patch_cache_control(response, private=True, no_cache=True)
        return response
