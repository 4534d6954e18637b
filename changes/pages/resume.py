"""A session that ran out does not cost what was typed.

A form with `{% page_of %}` names the person whose page it was, signed. When it comes without their session, what was
typed waits in the session of the browser while they sign in; then the form's page shows it again, unsent. A page takes
part by `{% page_of %}` in its form, and in its `get`:

    typed = typed_before(request)    # a QueryDict, or None

or, where the form is an ordinary one, `Form(initial=typed_fields(request))`.
"""

from __future__ import annotations

import time
from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.csrf import csrf_failure

from changes.actor import Person

from .fields import work_in_zone_of
from .htmx import asks_for_part
from .once import MARK

OWNER = "page_of"
_KEPT = "typed_before"
# In characters, names and values together: the longest comment, or an edit. Anybody may send a form, signed in or not.
MOST_TYPED = 200_000
# Seconds. A page may stay open over a long weekend; signing in follows at once.
PAGE_LIVES = 4 * 24 * 3600
KEPT_FOR = 3600
# Where a name has one of these in it, the value is not kept.
_SECRET = ("csrf", "password", "passwd", "secret", "token")
_signer = TimestampSigner(salt="changes.resume")


def owner_mark(user: Person) -> str:
    """Names `user` in a form, so that what is typed there is shown to nobody else."""
    return _signer.sign(str(user.pk))


def _owner(request: HttpRequest) -> str:
    """The key of the person whose page it was that `request` was sent from, or nothing."""
    try:
        return _signer.unsign(request.POST.get(OWNER, ""), max_age=PAGE_LIVES)
    except BadSignature:
        return ""


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """To the sign-in page and from there back, with what a form brought kept on the way and a word on it."""
    if request.method == "POST":
        if keep(request):
            said = _("You were signed out, so nothing was saved yet. Sign in: what you typed is kept and shown again.")
        else:
            said = _("You were signed out, so nothing was done. Sign in, and do it again.")
        messages.warning(request, said)
    return redirect_to_login(request.get_full_path())


def keep(request: HttpRequest) -> bool:
    """Keeps what the form brought until its owner opens the same address; False where that cannot be."""
    owner = _owner(request)
    typed = {
        name: values
        for name, values in request.POST.lists()
        if name not in (OWNER, MARK) and not any(word in name.lower() for word in _SECRET)
    }
    size = sum(len(text) for name, values in typed.items() for text in (name, *values))
    if not owner or not typed or size > MOST_TYPED or not _works_here(owner):
        return False
    # A half of a surrogate pair or a NUL is no text that a session can carry.
    kept = {name: [_storable(value) for value in values] for name, values in typed.items()}
    request.session[_KEPT] = {
        "path": request.path,
        "owner": owner,
        "at": time.time(),
        "typed": kept,
        "had_files": bool(request.FILES),
    }
    return True


def _works_here(owner: str) -> bool:
    """Whether this person could still sign in and see it."""
    return get_user_model().objects.filter(pk=owner, is_active=True, is_staff=True).exists()


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def typed_before(request: HttpRequest) -> QueryDict | None:
    """What this person had typed into the form of this page when the session ran out: once, and with a word on it.

    None when there is nothing, or when it was somebody else's: that is forgotten.
    """
    kept = request.session.get(_KEPT)
    if not kept or kept["path"] != request.path:
        return None
    del request.session[_KEPT]
    if kept["owner"] != str(request.user.pk) or not 0 <= time.time() - kept["at"] <= KEPT_FOR:
        return None
    typed = QueryDict(mutable=True)
    for name, values in kept["typed"].items():
        typed.setlist(name, values)
    work_in_zone_of(typed)
    said = _("You were signed out before this was sent. It is shown again as you typed it, and is not saved yet.")
    messages.warning(request, said)
    if kept["had_files"]:
        messages.warning(request, _("Files cannot be kept: choose them again."))
    return typed


def typed_fields(request: HttpRequest) -> dict[str, Any]:
    """As `typed_before`, for the `initial` of a form: each field with its last value; or nothing."""
    typed = typed_before(request)
    return {} if typed is None else typed.dict()


def form_out_of_date(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Named in the settings: a form from before the person signed in again is shown once more, with what was typed."""
    if asks_for_part(request):
        # A part of a page: the page stays, with what was typed.
        return csrf_failure(request, reason) if request.user.is_authenticated else HttpResponse(status=401)
    if not request.user.is_authenticated and _owner(request):
        return to_sign_in(request)
    if request.user.is_authenticated and _owner(request) == str(request.user.pk) and keep(request):
        return redirect(request.get_full_path())
    return csrf_failure(request, reason)
