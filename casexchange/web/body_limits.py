"""Limits for the bodies that pages take, checked before anything of a body is read. Programs have others."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat

from changes.calls import CALLS
from changes.pages.conversation.forms import MOST_FILES

# A form that could hold files, on a page that takes none. No form of ours is sent this way.
WITHOUT_FILES = 64 * 1024
# Somebody who is not signed in: enough to keep what was typed when a session expired.
SIGNED_OUT = 1024 * 1024


class BodyLimitsMiddleware:
    """Refuses a form that is too large for its page and for the person. Must come before the CSRF check, which reads.

    A view, or a model's admin, that takes files has the attribute `takes_files`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if request.path.startswith(CALLS) or not length.isdecimal() or int(length) <= WITHOUT_FILES:
            return None
        return None if int(length) <= _most_bytes(request, view) else too_large(request)


def _most_bytes(request: HttpRequest, view: Any) -> int:
    owner = getattr(view, "view_class", None) or getattr(view, "model_admin", None)
    takes_files = getattr(owner, "takes_files", False)
    if request.content_type == "multipart/form-data" and not takes_files:
        return WITHOUT_FILES
    if not request.user.is_authenticated:
        return SIGNED_OUT
    files = MOST_FILES * settings.ATTACHMENT_MAX_BYTES if takes_files else 0
    return files + settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def too_large(request: HttpRequest) -> HttpResponse:
    context = {"most": filesizeformat(settings.ATTACHMENT_MAX_BYTES), "most_files": MOST_FILES}
    return render(request, "413.html", context, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
