"""The API's answer for an unknown address."""

from __future__ import annotations

from typing import Any, NoReturn

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from .negotiation import AnyMediaType
from .problems import NOT_FOUND


@extend_schema(exclude=True)
class UnknownAddressView(APIView):
    """Answers 404 to every method and every caller."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_classes: list[Any] = []
    content_negotiation_class = AnyMediaType

    def initial(self, request: Request, *args: object, **kwargs: object) -> NoReturn:
        super().initial(request, *args, **kwargs)
        raise NotFound(NOT_FOUND)
