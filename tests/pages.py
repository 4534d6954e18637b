"""Helpers for the tests of pages: a signed-in client, and the text of a page without its markup."""

import html
import re
import time

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.utils.http import urlencode

from changes.pages.preferences import preferences
from changes.pages.sign_in import middleware as sign_in


class Browser(Client):
    """A test client that sends a form without files as a browser does. Django's sends all as multipart."""

    def post(self, path, data=None, content_type=MULTIPART_CONTENT, **extra):
        if content_type == MULTIPART_CONTENT and not any(map(_has_files, (data or {}).values())):
            data, content_type = urlencode(data or {}, doseq=True), "application/x-www-form-urlencoded"
        return super().post(path, data, content_type, **extra)


def _has_files(value) -> bool:
    return any(hasattr(each, "read") for each in (value if isinstance(value, list | tuple) else [value]))


def web(user=None) -> Client:
    """A test client (a browser without scripts) with a session in which `user` gave the password just now.

    The session has what a sign-in writes to it. No other sign-in takes place: none is logged.
    """
    client = Browser()
    if user is not None:
        request = HttpRequest()
        session = request.session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        note_sign_in(session, user)
        preferences.read(sender=web, request=request, user=user)
        sign_in.note_sign_in(sender=web, request=request)
        session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
    return client


def note_sign_in(session, user) -> None:
    """Notes in a session that `user` gave the password just now, as signing in by the page does."""
    session["account_authentication_methods"] = [{"method": "password", "at": time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)


def text(response) -> str:
    """The visible text of the page, with single spaces."""
    content = response.content.decode()
    body = re.sub(r"<[^>]+>", " ", content.partition("<main")[2])
    return re.sub(r"\s+([.,;:])", r"\1", re.sub(r"\s+", " ", html.unescape(body)))


def version_in(response) -> str:
    """The version of the first self-updating part in the response."""
    return re.search(r'data-version="([^"]+)"', response.content.decode())[1]


def asked_for(version="", **headers) -> dict[str, str]:
    """The headers of a request by htmx for a part. `Target="news"`: the id of the element that the part is for."""
    return {"HX-Request": "true", "X-Version": version, **{f"HX-{name}": value for name, value in headers.items()}}


def posted(change, **fields) -> dict[str, str]:
    """The form data that the edit page of `change` posts when only `fields` were changed."""
    from changes.pages.edit.forms import ChangeForm

    form = ChangeForm(instance=type(change).objects.get(pk=change.pk))
    data = {}
    for bound in form:
        if bound.field.disabled:
            continue
        value = bound.field.widget.format_value(bound.value())
        if isinstance(value, list):
            value = value[0] if value else ""
        data[bound.html_name] = "" if value is None else str(value).replace("\r\n", "\n").replace("\n", "\r\n")
    return data | fields
