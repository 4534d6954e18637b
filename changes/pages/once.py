"""A form that is sent twice acts once: a second click, or a page that is sent again.

A form takes part by `{% once %}`, which marks this one page of it; its view does what it does within `once`:

    with once(request) as sent:
        if not sent.led_to and form.is_valid() and form.save_or_explain():
            sent.led_to = form.instance.number

The same page with something else typed into it (somebody went back and went on from there) is another form.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest

MARK = "once"
_DONE = "done_once"
# So many forms are remembered in a session.
_MOST = 20
# These differ though the person sends the same.
_UNTYPED = ("csrfmiddlewaretoken", "previewed")


@dataclass
class Sent:
    """`led_to` says what came of the form: of its first sending, where `is_again`; nothing while nothing did."""

    led_to: str = ""
    is_again: bool = False


def new_mark() -> str:
    return secrets.token_urlsafe(12)


@contextmanager
def once(request: HttpRequest) -> Iterator[Sent]:
    """One transaction, in which whoever sends the same form meanwhile waits, and then finds what it led to."""
    mark = request.POST.get(MARK, "")
    key = request.session.session_key
    if not mark or not key:
        with transaction.atomic():
            yield Sent()
        return
    typed = sorted((name, values) for name, values in request.POST.lists() if name not in _UNTYPED)
    digest = hashlib.sha256(json.dumps([request.path, typed]).encode()).hexdigest()
    with transaction.atomic():
        # The row is read under its lock: what this request has read of it before may be from before the other one.
        row = Session.objects.select_for_update().filter(session_key=key).first()
        done: dict[str, str] = row.get_decoded().get(_DONE, {}) if row else {}
        if digest in done:
            yield Sent(done[digest], is_again=True)
            return
        sent = Sent()
        yield sent
        if sent.led_to and row:
            latest = [*done.items(), (digest, sent.led_to)][-_MOST:]
            request.session[_DONE] = dict(latest)
            request.session.save()
            request.session.modified = False  # saved, here under the lock
