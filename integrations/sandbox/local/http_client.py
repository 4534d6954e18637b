"""A small JSON client for scripts on this machine: `Api(base_url, token).post(path, {...})`."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

TIMEOUT = 60


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


# Ignores the proxies of the environment: all servers are on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


@dataclass(frozen=True)
class Answer:
    """`body`: JSON values, or text if it is not JSON."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Api:
    """One server, called with one token. Returns an answer of any status. Raises OSError if there is no answer."""

    base_url: str
    token: str = ""

    def get(self, path: str, **query: str) -> Answer:
        return self._call("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self._call("POST", path, json.dumps(body).encode(), "application/json", headers)

    def patch(self, path: str, body: object) -> Answer:
        return self._call("PATCH", path, json.dumps(body).encode(), "application/json")

    def put(self, path: str, body: object) -> Answer:
        return self._call("PUT", path, json.dumps(body).encode(), "application/json")

    def upload(self, path: str, file: Any) -> Answer:
        """Posts a file as a form does. `file`: an object with `name` and `read()`."""
        return self._call("POST", path, encode_multipart(BOUNDARY, {"file": file}), MULTIPART_CONTENT)

    def _call(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        content_type: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        request = urllib.request.Request(self.base_url + path, data, headers or {}, method=method)  # noqa: S310 - ours
        if content_type:
            request.add_header("Content-Type", content_type)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with _opener.open(request, timeout=TIMEOUT) as answer:
                return _read(answer)
        except urllib.error.HTTPError as answer:
            return _read(answer)


def _read(answer: Any) -> Answer:
    text = answer.read().decode(errors="replace")
    headers = {name.title(): value for name, value in answer.headers.items()}
    try:
        return Answer(answer.status, json.loads(text), headers)
    except ValueError:
        return Answer(answer.status, text, headers)
