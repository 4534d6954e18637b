"""The OpenAPI description of the calls: requests, answers and errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from changes.api.problems import MEDIA_TYPE

# Statuses that any call may answer with. A view lists its others in `problems`.
ANY_CALL = (400, 401, 403, 406, 429)


class ErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True, help_text="The path of the field, as in `properties.planned_end`.")


class ProblemSerializer(serializers.Serializer):
    """An error in the format of RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ErrorSerializer(many=True)  # type: ignore[assignment]


class ProblemSchema(AutoSchema):
    """Describes a view from its attributes. Named in the settings.

    `write_serializer_class`: the request body. `lists`: GET answers a list. `creates`: POST creates a record.
    `problems`: the error statuses of each method. `summaries`: what each method does. `is_conditional`: GET may answer
    304.
    """

    def get_summary(self) -> str | None:
        return getattr(self.view, "summaries", {}).get(self.method) or super().get_summary()

    def get_description(self) -> str:  # type: ignore[override]
        # A view's docstring is for readers of the code, not of the API's description.
        return "" if hasattr(self.view, "summaries") else super().get_description()

    def get_request_serializer(self) -> Any:
        return getattr(self.view, "write_serializer_class", None) or super().get_request_serializer()

    def _is_list_view(self, serializer: object = None) -> bool:
        return self.method == "GET" and getattr(self.view, "lists", False)

    def get_filter_backends(self) -> list[Any]:
        return getattr(self.view, "filter_backends", []) if self.method == "GET" else []

    def _is_create_operation(self) -> bool:
        return self.method == "POST" and getattr(self.view, "creates", False)

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        if direction != "response":
            return bodies
        statuses = {*ANY_CALL, *getattr(self.view, "problems", {}).get(self.method, ())}
        if "{" in self.path:
            statuses.add(404)
        if self.method in {"POST", "PATCH"}:
            statuses |= {411, 413, 415}
        if self.method == "GET" and getattr(self.view, "is_conditional", False):
            bodies["304"] = {"description": "The caller has this version already."}
        for status in sorted(statuses):
            bodies[str(status)] = self._get_response_for_code(ProblemSerializer, str(status), [MEDIA_TYPE])
        for status_code, body in bodies.items():
            body["description"] = body["description"] or HTTPStatus(int(status_code)).phrase
        return bodies
