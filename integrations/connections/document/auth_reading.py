"""The part `auth` of a document."""

from __future__ import annotations

from ..evaluation.auth import Auth, Credentials, Joined, Named
from ..evaluation.shapes import BodyTemplate, RequestTemplate
from ..templating.templates import Template
from .checks import Scope
from .reading import ANSWER, AUTH, REQUEST_KEYS, Reader, header_name
from .source import Kinds, Section, section_of_kind

# Of each kind: the keys that it may have, and those that it must have.
KINDS: Kinds = {
    "none": ((), ()),
    "basic": ((), ("username", "password")),
    "bearer": ((), ("token",)),
    "header": ((), ("name", "value")),
    "oauth2": (("scope",), ("token_url", "client_id", "client_secret")),
    "login": ((), ("request", "token", "send")),
    "certificate": ((), ("certificate", "key")),
}


def auth_of(reader: Reader, whole: Section, base_url: str) -> Auth:
    if "auth" not in whole:
        return Auth(base_url=base_url)
    section, kind = section_of_kind(reader.source, whole.node("auth"), "auth", KINDS)
    if not kind:
        return Auth(base_url=base_url)

    def joined(key: str, *before: str) -> Joined:
        return Joined(section.at(key), (*before, reader.one(section, key, AUTH)))

    def credential(key: str, *before: str) -> Joined:
        """As `joined`. What is written here itself would stay in all revisions, and be shown with each call."""
        found = joined(key, *before)
        value = found.parts[-1]
        if value is not None and not (isinstance(value, Template) and value.uses_secret):
            section.fault(key, 'Write it under Secrets, and name that here, as in "{{ secret.API_KEY }}".')
        return found

    if kind == "basic":
        pair = Credentials(joined("username"), credential("password"))
        return Auth(kind, base_url, {"Authorization": Joined("auth", ("Basic ", pair))})
    if kind == "bearer":
        return Auth(kind, base_url, {"Authorization": credential("token", "Bearer ")})
    if kind == "header":
        return Auth(kind, base_url, {header_name(section, "name"): credential("value")})
    if kind == "certificate":
        return Auth(kind, base_url, files=(joined("certificate"), credential("key")))
    if kind == "oauth2":
        return _oauth2(reader, section, Credentials(joined("client_id"), credential("client_secret"), True))
    return _login(reader, section, base_url) if kind == "login" else Auth(base_url=base_url)


def _oauth2(reader: Reader, section: Section, credentials: Credentials) -> Auth:
    url = reader.url(section, "token_url")
    form = {"grant_type": "client_credentials", "scope": reader.one(section, "scope", AUTH)}
    headers = {"Authorization": Joined("auth", ("Basic ", credentials)), "Accept": "application/json"}
    request = RequestTemplate("auth.", "POST", url, headers=headers, body=BodyTemplate("form", form), uses_secret=True)
    return Auth("oauth2", url, {"Authorization": Joined("auth", ("Bearer ", Named("token")))}, request)


def _login(reader: Reader, section: Section, base_url: str) -> Auth:
    called = Section(reader.source, section.node("request"), "auth.request", REQUEST_KEYS)
    request = reader.request(called, Scope(frozenset()))
    token = reader.one(section, "token", Scope(frozenset(ANSWER)))
    send = Section(reader.source, section.node("send"), "auth.send", ("header", "cookie", "prefix"))
    place = send.one_of(("header", "cookie"), "place of the token")
    name = header_name(send, place) if place else ""
    before = f"{name}=" if place == "cookie" else send.text("prefix")
    header = "Cookie" if place == "cookie" else name
    parts = (before, Named("token")) if before else (Named("token"),)
    return Auth("login", base_url, {header: Joined("auth", parts)}, request, token)
