"""A call as it is made, and as people may see it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode, urlsplit

from ..templating.faults import EvaluationFailed
from ..templating.templates import Names, Template, Value, bounded_together, evaluated
from ..templating.values import OMIT, Record, Unusable, as_json, as_text
from .shapes import PartTemplate, RequestTemplate

MASK = "•••"
_ENCODED_MASK = quote(MASK)
# A shorter secret would be found in every second word.
SHORTEST_SEARCHED = 4
NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# A segment of a path that stands for this folder or the one above.
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|\Z)", re.IGNORECASE)
# What may stand in a URL as it is. Other characters are percent-encoded.
_IN_URL = "/:?#[]@!$&'()*+,;=-._~%"


@dataclass(frozen=True)
class AttachedFile:
    """Stands for the bytes of the operation's attachment, streamed by whoever makes the call."""


Content = bytes | AttachedFile


@dataclass(frozen=True)
class Part:
    """One part of a multipart body. `content_type` and `file_name`: None if the part has none."""

    name: str
    content: Content = field(repr=False)
    content_type: str | None = None
    file_name: str | None = None


Body = Content | tuple[Part, ...]


@dataclass(frozen=True)
class ShownCall:
    """A call for people: without secrets."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str

    def text(self, limit: int | None = None) -> str:
        """As in an HTTP message, with a line for each part of the query; at most `limit` characters."""
        address, _, query = self.url.partition("?")
        asked = [f"  {name} = {value}" for name, value in parse_qsl(query, keep_blank_values=True)]
        headers = [f"{name}: {value}" for name, value in self.headers.items()]
        lines = [f"{self.method} {address}{'?' if asked else ''}", *asked, *headers]
        return "\n".join([*lines, "", self.body] if self.body else lines)[:limit]


@dataclass(frozen=True)
class Call:
    """One request to the partner. The headers of `auth` are not among these: the caller adds them.

    `body`: the bytes, or the parts of a multipart body, whose Content-Type the caller sets with its boundary.
    """

    step: str
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Body = field(repr=False)
    _shown: Callable[[], ShownCall] = field(repr=False, compare=False)

    def shown(self) -> ShownCall:
        """Without secrets: evaluated again with a mask in the place of each."""
        return self._shown()


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with a mask for each secret that stands in it, unless the secret is too short to be searched for."""
    spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return text.replace(_ENCODED_MASK, MASK)


@lru_cache(maxsize=1024)
def _spellings(secret: str) -> tuple[str, ...]:
    """How a secret may stand in a text: as it is, in a URL, in JSON, in HTML and in base64."""
    if len(secret) < SHORTEST_SEARCHED:
        return ()
    encoded = base64.b64encode(secret.encode()).decode()
    return (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret), encoded)


@dataclass(frozen=True)
class Caller:
    """What all calls of a system have in common, besides the names that templates know."""

    base_url: str
    secrets: Mapping[str, str] = field(repr=False)

    @bounded_together()
    def call(self, request: RequestTemplate, step: str, names: Names, own_host: bool = True) -> Call:
        """The call that this request is now. Raises EvaluationFailed."""
        own = dict(names)
        url = _url(request, self.base_url, own, own_host)
        headers, body = self._content(request, {**own, "secret": Record(self.secrets)})

        def shown() -> ShownCall:
            return self._shown(request, own, url, headers, body)

        return Call(step, request.method, url, headers, body, shown)

    @bounded_together()
    def _shown(
        self, request: RequestTemplate, names: Names, url: str, headers: Mapping[str, str], body: Body
    ) -> ShownCall:
        if request.uses_secret:
            masked = Record(dict.fromkeys(self.secrets, MASK))
            try:
                headers, body = self._content(request, {**names, "secret": masked})
            except EvaluationFailed:  # its templates look into a secret
                headers, body = dict.fromkeys(headers, MASK), MASK.encode() if body else b""
        seen = {name: self.hidden(value) for name, value in headers.items()}
        return ShownCall(request.method, self.hidden(url), seen, self.hidden(_shown_body(body)))

    def hidden(self, text: str) -> str:
        return without_secrets(text, self.secrets.values())

    def _content(self, request: RequestTemplate, names: Names) -> tuple[dict[str, str], Body]:
        body, content_type = _body(request, names)
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            text = _scalar(value, names, f"{request.path}headers.{name}")
            if text is None:
                continue
            headers[name] = header_text(text, f"{request.path}headers.{name}")
        if content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
        return headers, body


def _scalar(value: Value, names: Names, path: str) -> str | None:
    try:
        return as_text(evaluated(value, names))
    except Unusable as error:
        raise EvaluationFailed(path, str(error)) from None


def header_text(text: str, path: str) -> str:
    """The value of a header as it is. Raises EvaluationFailed for one that would end the header."""
    if NOT_IN_HEADER.search(text):
        raise EvaluationFailed(path, "a header has no line ends and no control characters")
    return text


# --- The address ---


def _url(request: RequestTemplate, base_url: str, names: Names, own_host: bool) -> str:
    target, path = request.target, f"{request.path}{request.method.lower()}"
    if isinstance(target, Template) and not target.source.startswith("/"):
        url = _whole_url(_scalar(target, names, path), base_url, path)
    elif not own_host:
        url = str(target)
    else:
        url = base_url + (target.url_path(names) if isinstance(target, Template) else target)
    url = quote(url, safe=_IN_URL)
    if _DOTS.search(url):
        raise EvaluationFailed(path, "a part of the path is . or .., and would lead elsewhere")
    query = _pairs(request.query, names, f"{request.path}query")
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, quote_via=quote, safe='')}"


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _whole_url(url: str | None, base_url: str, path: str) -> str:
    if not url:
        raise EvaluationFailed(path, "the URL is empty")
    try:
        is_same = origin_of(url) == origin_of(base_url)
        parts = urlsplit(url)
    except ValueError:
        raise EvaluationFailed(path, "the value is no URL") from None
    if not is_same or parts.username is not None or parts.fragment or "\\" in url or NOT_IN_HEADER.search(url):
        raise EvaluationFailed(path, "the value is no URL of the host of base_url, with its scheme and port")
    return url


def _pairs(values: Mapping[str, Value], names: Names, path: str) -> list[tuple[str, str]]:
    """The pairs of a query or form. What is none or `omit` is left out, a list repeats its key."""
    pairs = []
    for name, template in values.items():
        value = evaluated(template, names)
        for one in value if isinstance(value, list) else [value]:
            try:
                text = as_text(one)
            except Unusable as error:
                raise EvaluationFailed(f"{path}.{name}", str(error)) from None
            if text is not None:
                pairs.append((name, text))
    return pairs


# --- The body ---


def _body(request: RequestTemplate, names: Names) -> tuple[Body, str | None]:
    """The body, and its Content-Type unless a header says another."""
    body = request.body
    if body is None:
        return b"", None
    path = f"{request.path}{body.kind}"
    if body.kind == "json":
        return _json(body.value, names, path), "application/json"
    if body.kind == "form":
        form = urlencode(_pairs(body.value, names, path), quote_via=quote)
        return form.encode(), "application/x-www-form-urlencoded"
    if body.kind == "text":
        return (_scalar(body.value, names, path) or "").encode(), "text/plain; charset=utf-8"
    if body.kind == "file":
        _attachment(names, path)
        return AttachedFile(), "application/octet-stream"
    return tuple(_part(part, names, f"{path}[{place}]") for place, part in enumerate(body.value)), None


def _json(template: Value, names: Names, path: str) -> bytes:
    value = evaluated(template, names)
    if value is OMIT and isinstance(template, dict | list):
        value = type(template)()  # the body itself stays
    if value is OMIT:
        raise EvaluationFailed(path, "omit leaves nothing of the body")
    try:
        return as_json(value).encode(errors="strict")
    except (Unusable, UnicodeEncodeError) as error:
        raise EvaluationFailed(path, str(error)) from None


def _part(part: PartTemplate, names: Names, path: str) -> Part:
    if part.kind == "json":
        return Part(part.name, _json(part.value, names, f"{path}.json"), part.content_type or "application/json")
    if part.kind == "text":
        text = _scalar(part.value, names, f"{path}.text") or ""
        return Part(part.name, text.encode(), part.content_type)
    file = _attachment(names, f"{path}.file")
    own_type, file_name = (as_text(file.get(key)) for key in ("content_type", "file_name"))
    if any(NOT_IN_HEADER.search(text or "") for text in (own_type, file_name)):
        what = "the file's name or type has a line end or control character: attach the file anew, with another name"
        raise EvaluationFailed(f"{path}.file", what)
    return Part(part.name, AttachedFile(), part.content_type or own_type, file_name)


def _attachment(names: Names, path: str) -> Mapping[str, Any]:
    attachment = names.get("attachment")
    if not isinstance(attachment, dict):
        raise EvaluationFailed(path, "the operation has no attachment")
    return dict(dict.items(attachment))


# --- For people ---


def _shown_body(body: Body) -> str:
    if isinstance(body, bytes):
        return body.decode(errors="replace")
    if isinstance(body, AttachedFile):
        return "(the attached file)"
    return "\n\n".join(_shown_part(part) for part in body)


def _shown_part(part: Part) -> str:
    name = f'{part.name}; filename="{part.file_name}"' if part.file_name else part.name
    head = f"--- {name}" + (f" ({part.content_type})" if part.content_type else "")
    return f"{head}\n{_shown_body(part.content)}"
