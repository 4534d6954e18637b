"""The page with the API's documentation. It loads nothing from another host."""

from __future__ import annotations

from drf_spectacular.views import SpectacularSwaggerSplitView


class DocsView(SpectacularSwaggerSplitView):
    url_name = "api:schema"
    template_name = "changes/api_docs.html"
    http_method_names = ["get", "head"]
    title = "casexchange API"
