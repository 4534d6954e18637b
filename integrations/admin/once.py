"""Showing a secret a single time."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.template.response import TemplateResponse


def shown_once(admin: ModelAdmin, request: HttpRequest, title: str, secret: str, continue_url: str) -> TemplateResponse:
    """The page that shows `secret`: the answer to the request that made it, so it is kept nowhere, in no cookie."""
    context: dict[str, Any] = {
        **admin.admin_site.each_context(request),
        "title": title,
        "opts": admin.opts,
        "secret": secret,
        "continue_url": continue_url,
    }
    return TemplateResponse(request, "admin/integrations/shown_once.html", context)
