"""How we prove to the partner who we are."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus

from integrations.transports.base import Response

from ..templating.faults import EvaluationFailed
from ..templating.templates import Dynamic, Names, Value, evaluated
from ..templating.values import Record, Unusable, as_text
from .answers import names_of_answer
from .calls import MASK, Call, Caller, header_text
from .shapes import RequestTemplate

KINDS = ("none", "basic", "bearer", "header", "oauth2", "login", "certificate")


class AuthRefused(Exception):  # noqa: N818
    """The partner gave no token. The text says why and quotes no token."""


@dataclass(frozen=True)
class Token:
    """`expires_in`: seconds from now, if the partner said so."""

    value: str = field(repr=False)
    expires_in: float | None = None


@dataclass(frozen=True)
class Joined(Dynamic):
    """Texts and templates, one behind the other. Each must have a value."""

    path: str
    parts: tuple[Value, ...]

    def value(self, names: Names) -> str:
        return "".join(self._text(part, names) for part in self.parts)

    def _text(self, part: Value, names: Names) -> str:
        try:
            text = as_text(evaluated(part, names))
        except Unusable as error:
            raise EvaluationFailed(self.path, str(error)) from None
        if not text:
            raise EvaluationFailed(self.path, "the value is empty")
        return text

    @property
    def shown(self) -> str:
        return "".join(part if isinstance(part, str) else MASK for part in self.parts)


@dataclass(frozen=True)
class Named(Dynamic):
    """The value of a name, as it is."""

    name: str

    def value(self, names: Names) -> object:
        return names[self.name]


@dataclass(frozen=True)
class Credentials(Dynamic):
    """User and password for HTTP Basic. OAuth 2 encodes both as in a form first (RFC 6749, section 2.3.1)."""

    username: Joined
    password: Joined
    is_form_encoded: bool = False

    def value(self, names: Names) -> str:
        pair = [self.username.value(names), self.password.value(names)]
        text = ":".join(map(quote_plus, pair) if self.is_form_encoded else pair)
        return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Auth:
    """`values`: the headers of every call. `files`: a client certificate and its key.

    `request` gets the token of oauth2 and login, `token` finds it in the answer.
    """

    kind: str = "none"
    base_url: str = ""
    values: Mapping[str, Joined] = field(default_factory=dict)
    request: RequestTemplate | None = None
    token: Value = None
    files: tuple[Joined, Joined] | None = None

    @property
    def has_token(self) -> bool:
        """Whether calls need a token, which a call of its own gets."""
        return self.request is not None

    def headers(self, secrets: Mapping[str, str], token: str | None = None) -> dict[str, str]:
        """The headers of every call. Raises EvaluationFailed."""
        names = {"secret": Record(secrets), "token": token}
        return {name: header_text(value.value(names), "auth") for name, value in self.values.items()}

    def shown_headers(self) -> dict[str, str]:
        """The headers for people: without secrets."""
        return {name: value.shown for name, value in self.values.items()}

    def certificate(self, secrets: Mapping[str, str]) -> tuple[str, str] | None:
        """The client certificate and its key, both as PEM. Raises EvaluationFailed."""
        names = {"secret": Record(secrets)}
        return (self.files[0].value(names), self.files[1].value(names)) if self.files else None

    def token_call(self, secrets: Mapping[str, str]) -> Call:
        """The call that gets a token. Raises EvaluationFailed."""
        if self.request is None:
            raise ValueError(f"auth of the kind {self.kind} has no token")
        return Caller(self.base_url, secrets).call(self.request, "token", {}, own_host=self.kind == "login")

    def token_of(self, response: Response) -> Token:
        """The token in the answer to `token_call()`. Raises AuthRefused or EvaluationFailed."""
        names = names_of_answer(response, "auth")
        body = names["body"]
        if not 200 <= response.status < 300:
            raise AuthRefused(f"The partner gave no token: it answered {response.status}{_error_of(body)}.")
        if self.kind == "login":
            return Token(Joined("auth.token", (self.token,)).value(names))
        given = dict(dict.items(body)) if isinstance(body, dict) else {}
        token, seconds = given.get("access_token"), given.get("expires_in")
        if not isinstance(token, str) or not token:
            raise AuthRefused("The partner gave no token: its answer has no access_token.")
        try:
            expires_in = None if seconds is None else float(str(seconds))
        except ValueError:
            expires_in = None  # a partner that writes something else here says nothing
        return Token(token, expires_in)


def _error_of(body: object) -> str:
    """What RFC 6749 names: the rest of the answer may contain a credential."""
    given = dict(dict.items(body)) if isinstance(body, dict) else {}
    texts = [str(given[key])[:200] for key in ("error", "error_description") if given.get(key)]
    return f" ({', '.join(texts)})" if texts else ""
