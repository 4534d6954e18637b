"""The page that shows a new secret once."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.template.response import TemplateResponse


def shown_once(admin: ModelAdmin, request: HttpRequest, title: str, secret: str, continue_url: str) -> TemplateResponse:
    """A page that shows `secret`. Use it as the answer to the request that created it, so the secret is stored nowhere.

    In particular it is in no session, no cookie and no URL. `continue_url`: where the page's link leads.
    """
    context: dict[str, Any] = {
        **admin.admin_site.each_context(request),
        "title": title,
        "opts": admin.opts,
        "secret": secret,
        "continue_url": continue_url,
    }
    return TemplateResponse(request, "admin/integrations/shown_once.html", context)
