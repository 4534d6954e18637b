"""The WSGI entry point: any WSGI server runs `casexchange.wsgi:application`."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from casexchange import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")


class Request(WSGIRequest):
    """A request whose malformed Content-Type counts as none, so that the view refuses it with a clear error.

    Django parses the header before any view or error handler runs, so a failure there would be a bare 500.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except (LookupError, ValueError):
            self.content_type, self.content_params = "", {}


class Handler(WSGIHandler):
    request_class = Request


django.setup(set_prefix=False)
tracing.set_up("casexchange-web")
application = Handler()
