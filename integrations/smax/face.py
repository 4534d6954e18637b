"""What all calls of the face have in common: who calls, for which tenant, in which form, and what errors look like."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any, cast

from django.conf import settings
from django.utils.http import http_date
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotFound
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from changes.api.exceptions import Forbidden, Problem
from changes.api.negotiation import AnyMediaType
from changes.api.on_hold import refuse_calls
from changes.api.parsers import StrictJSONParser, check_has_length
from changes.api.throttling import count_failure, refuse_many_failures
from changes.calls import TOKEN_COOKIES
from integrations.api.authentication import PartnerCaller
from integrations.choices import Delivery
from integrations.models import ExternalSystem

from . import accounts
from .answers import exception_handler
from .registration import Registration

NOT_FOUND = "There is nothing at this address, or you may not see it."
SIGN_IN = "Sign in first: the token is missing, or has ended."
MOST_DIGITS = 18


class AdapterAuthentication(BaseAuthentication):
    """A token as cookie or as Bearer, or the account's password by HTTP Basic. Sessions of the pages count for nothing.

    `request.auth` is a `PartnerCaller` with the account's systems that SMAX adapters speak for.
    """

    def authenticate(self, request: Request) -> Any:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            user = accounts.signed_in(request, *_name_and_password(given.strip()))
            return user, PartnerCaller(systems_of(user), "password")
        tokens = [given.strip()] if kind.lower() == "bearer" else []
        tokens += [request.COOKIES[name] for name in sorted(TOKEN_COOKIES) if name in request.COOKIES]
        for token in filter(None, tokens):
            if found := accounts.user_of_token(token):
                return found, PartnerCaller(systems_of(found), accounts.name_of_token(token))
        refuse_many_failures(request)
        count_failure(request)
        raise AuthenticationFailed(SIGN_IN)


def _name_and_password(given: str) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise AuthenticationFailed("Authorization: Basic takes base64 of name:password in UTF-8.") from error
    return name, password if colon else ""


def systems_of(user: Any) -> list[ExternalSystem]:
    systems = ExternalSystem.objects.without_secrets().filter(authorized_user=user, delivery=Delivery.SMAX)
    found = list(systems)
    for system in found:
        system.authorized_user = user
    return found


class MayUseFace(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        caller: PartnerCaller | None = request.auth  # type: ignore[assignment]
        systems = caller.systems if caller else []
        if any(system.enabled for system in systems):
            return True
        if systems:
            raise Forbidden("Your system is disabled here. Ask the service desk to enable it.")
        raise Forbidden("Your account is not that of a system whose delivery is smax. Ask the service desk.")


class AnyTypeParser(StrictJSONParser):
    """JSON, whatever the Content-Type says: adapters send several, or none."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return super().parse(stream, "application/json", parser_context)


class CallView(APIView):
    """A call of an adapter, signed in or not."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    content_negotiation_class = AnyMediaType
    parser_classes: list[Any] = [AnyTypeParser]
    http_method_names = ["get", "head", "post"]
    schema = None

    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.begun = time.time()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_has_length(request)

    def get_exception_handler(self) -> Any:
        return exception_handler

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Tells the time at which the call began: nothing that was recorded later is left out by asking from it on."""
        response["Date"] = http_date(self.begun)
        return super().finalize_response(request, response, *args, **kwargs)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        return cast(dict[str, Any], self.request.data)

    @property
    def milliseconds(self) -> int:
        """How long the call has taken so far."""
        return int((time.time() - self.begun) * 1000)


class FaceView(CallView):
    """A call of a signed-in adapter, for a tenant."""

    authentication_classes = [AdapterAuthentication]
    permission_classes = [MayUseFace]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self._check_tenant(request)
        refuse_calls()
        super().initial(request, *args, **kwargs)
        self.systems: list[ExternalSystem] = [system for system in request.auth.systems if system.enabled]  # type: ignore[union-attr]

    def _check_tenant(self, request: Request) -> None:
        tenant = self.kwargs["tenant"]
        if tenant not in settings.SMAX_TENANTS:
            raise NotFound("There is no such tenant here.")
        for said in (request.query_params.get("TENANTID"), request.COOKIES.get("TENANTID")):
            if said not in (None, "", tenant):
                message = f"It is not the tenant of the address, which is {tenant}."
                raise Problem(f"TENANTID: {message}", "other_tenant", {"TENANTID": message})

    def registration_for(self, entity_type: str) -> Registration:
        """That of the caller's system that uses this name for changes. Raises NotFound if there is none."""
        for system in self.systems:
            registration = Registration.of(system)
            if entity_type in registration.entity_types:
                return registration
        known = ", ".join(dict.fromkeys(name for each in self.systems for name in Registration.of(each).entity_types))
        raise NotFound(f"There is no entity type {entity_type[:100]} here. Your changes are of the type {known}.")

    def window(self, usual: int, most: int) -> slice:
        """What `skip` and `size` ask for."""
        skip = self.whole_number("skip", 0)
        return slice(skip, skip + self.whole_number("size", usual, most))

    def whole_number(self, name: str, default: int, most: int | None = None) -> int:
        """The number in this parameter, at most `most`. Raises Problem for anything else."""
        text = self.request.query_params.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
            message = f"Give a whole number of at most {MOST_DIGITS} digits."
            raise Problem(f"{name}: {message}", "invalid", {name: message})
        return int(text) if most is None else min(int(text), most)


class UnknownCallView(CallView):
    """Answers 404 to every method and every caller."""

    throttle_classes: list[Any] = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound(NOT_FOUND)
