"""Protection against forms that are sent twice, by a second click or a reload: such a form acts only once.

The form contains `{% once %}`, which is unique for each page. The view acts within `once`:

    with once(request) as sent:
        if not sent.led_to and form.is_valid() and form.save_or_explain():
            sent.led_to = form.instance.number

The same page with other values (somebody went back and typed something else) counts as another form. For what is no
typed value, such as a file, `once` is given a text that tells it from others.
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
# The number of forms that a session remembers.
_MOST = 20
# Fields that may differ even if the person sends the same form again.
_UNTYPED = ("csrfmiddlewaretoken", "previewed")


@dataclass
class Sent:
    """`led_to` is the view's result, such as a number; "" if there is none yet. `is_again`: from an earlier request."""

    led_to: str = ""
    is_again: bool = False


def new_mark() -> str:
    return secrets.token_urlsafe(12)


@contextmanager
def once(request: HttpRequest, *others: str) -> Iterator[Sent]:
    """Opens a transaction. A second request with the same form waits for it, and then gets the first one's `led_to`."""
    mark = request.POST.get(MARK, "")
    key = request.session.session_key
    if not mark or not key:
        with transaction.atomic():
            yield Sent()
        return
    typed = sorted((name, values) for name, values in request.POST.lists() if name not in _UNTYPED)
    digest = hashlib.sha256(json.dumps([request.path, typed, *others]).encode()).hexdigest()
    with transaction.atomic():
        # Read again under the lock: the session loaded earlier may be older than the other request's save.
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
            request.session.modified = False  # already saved here, under the lock
