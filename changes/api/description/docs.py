"""The description of the API (OpenAPI 3), and the page with its documentation. The page loads nothing from outside."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction, extend_schema
from drf_spectacular.views import SCHEMA_KWARGS, SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from changes.api.fields import StrictSerializer

# The description by its format. It is the same for everybody, and takes a second to make.
_made: dict[str, tuple[bytes, str]] = {}


class StrictScheme(OpenApiSerializerExtension):
    """Says of what is sent that there is no other field: StrictSerializer refuses one."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, object]:
        described: dict[str, object] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**described, "additionalProperties": False} if direction == "request" else described


class SchemaView(SpectacularAPIView):
    """The description, which each process makes once."""

    @extend_schema(**SCHEMA_KWARGS)
    def get(self, request: Request, *args: object, **kwargs: object) -> HttpResponse:
        name = request.accepted_renderer.format
        if name not in _made:
            answer = self.finalize_response(request, super().get(request, *args, **kwargs)).render()
            _made[name] = answer.content, answer["Content-Type"]
        content, kind = _made[name]
        return HttpResponse(content, kind)


class DocsView(SpectacularSwaggerSplitView):
    url_name = "api:schema"
    template_name = "changes/api_docs.html"
    http_method_names = ["get", "head"]
    title = "casexchange API"
