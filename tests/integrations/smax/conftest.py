"""ACME's adapter: a client that knows the face's addresses and its envelopes, and no code of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from changes import rate_limits
from changes.models import Change
from changes.security_log import floods
from integrations.choices import Delivery
from integrations.models import ExternalReference
from integrations.smax import accounts
from tests.factories import PASSWORD, ExternalSystemFactory, change_in

LOGIN = "/auth/authentication-endpoint/authenticate/login"


class Adapter:
    """Signs in at once, and brings the token as cookie."""

    def __init__(self, system: Any, tenant: str = "default") -> None:
        self.system, self.root = system, f"/rest/{tenant}"
        self.client = Client()
        self.sign_in()

    def sign_in(self) -> str:
        credentials = {"login": self.system.authorized_user.username, "password": PASSWORD}
        answer = self.client.post(LOGIN, json.dumps(credentials), content_type="application/json")
        assert answer.status_code == 200, answer.content
        self.client.cookies["LWSSO_COOKIE_KEY"] = answer.content.decode()
        return answer.content.decode()

    def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        if "json" in options:
            options["data"], options["content_type"] = json.dumps(options.pop("json")), "application/json"
        answer = getattr(self.client, method)(f"{self.root}/{path}", **options)
        assert answer.status_code == status, (answer.status_code, answer.content)
        is_json = answer["Content-Type"].startswith("application/json") and not answer.streaming
        return answer.json() if is_json else answer

    def get(self, path: str, status: int = 200, **query: object) -> Any:
        return self.call("get", path, status, data=query)

    def post(self, path: str, body: object, status: int = 200) -> Any:
        return self.call("post", path, status, json=body)

    def upload(self, content: bytes, name: str = "a.txt", kind: str = "text/plain", status: int = 200) -> Any:
        """A file as the whole body, with its name in UTF-8."""
        raw = name.encode().decode("latin-1")
        return self.call("post", "frs/file-list", status, data=content, content_type=kind, HTTP_FS_FILENAME=raw)

    def write(self, operation: str, status: int = 200, layout: str = "", key: str | None = None, **parts: Any) -> Any:
        """One entity by `POST ces`: `ext` adds to its ext_properties. Returns its answer."""
        path = f"ces?layout={layout}" if layout else "ces"
        headers = {"Idempotency-Key": key} if key else {}
        body = {"entities": [self.entity(operation, **parts)]}
        return self.call("post", path, status, json=body, headers=headers)["entities"][0]

    def entity(self, operation: str, ext: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
        named = {"ExternalSystem": self.system.system_id, "Operation": operation, **(ext or {})}
        return {"entity_type": "Change", "properties": {}, "ext_properties": named, **parts}

    def feed(self, **query: object) -> list[dict[str, Any]]:
        asked = {"layout": "Id", "type": "Change", "system": self.system.system_id, "time": 0, **query}
        return self.get("ces", **asked)["entities"]

    def record(self, change: Any, layout: str = "") -> dict[str, Any]:
        """The properties of a change."""
        [entity] = self.get(f"ems/Change/{change.pk}", layout=layout)["entities"]
        return {**entity["properties"], **entity["related_properties"]}


@pytest.fixture(autouse=True)
def _as_a_new_process() -> Iterator[None]:
    """Without passwords checked and failures counted by other tests."""
    accounts.forget()
    floods.forget()
    rate_limits.forget()
    yield
    rate_limits.forget()


@pytest.fixture
def acme(acme: Any) -> Any:
    acme.delivery, acme.endpoint_url = Delivery.SMAX, ""
    acme.save()
    return acme


@pytest.fixture
def adapter(acme: Any) -> Adapter:
    return Adapter(acme)


@pytest.fixture
def other_adapter(db: None) -> Adapter:
    """That of OTHER, which ACME's changes do not concern."""
    return Adapter(ExternalSystemFactory(system_id="OTHER", delivery=Delivery.SMAX, endpoint_url=""))


@pytest.fixture
def given(acme: Any, alice: Any) -> Any:
    """A change that was given to ACME, in Plan."""
    return change_in("Plan", requested_by=alice, owning_group=acme.external_groups.all()[0].group)


@pytest.fixture
def linked(acme: Any, given: Any) -> Any:
    """`given`, with ACME's record C-1."""
    ExternalReference(change=given, system=acme, external_id="C-1", external_status="New").save()
    return given


def own(change: Change) -> dict[str, str]:
    """What names the change in an entity's properties."""
    return {"Id": str(change.pk)}


def stored(change: Change) -> Change:
    return Change.objects.get(pk=change.pk)
