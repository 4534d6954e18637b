"""Rescue of typed text when the session has expired.

A form with `{% page_of %}` contains the signed key of the person whose page it was. If it arrives without their
session, the typed values wait in the browser's session while they sign in. The form's page then shows the values again
and saves nothing. To support this, a page has `{% page_of %}` in its form and calls in its `get`:

    typed = typed_before(request)    # a QueryDict, or None

or, for an ordinary form, `Form(initial=typed_fields(request))`.
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
# The most characters to keep, names and values together: enough for the longest comment or an edit. There must be a
# limit, because anybody can send a form without signing in.
MOST_TYPED = 200_000
# Seconds that a page may stay open (a long weekend), and seconds that values wait for the sign-in.
PAGE_LIVES = 4 * 24 * 3600
KEPT_FOR = 3600
# Fields with one of these in their name are never kept.
_SECRET = ("csrf", "password", "passwd", "secret", "token")
_signer = TimestampSigner(salt="changes.resume")


def owner_mark(user: Person) -> str:
    """The signed key of `user` for a form, so that the typed values are shown to nobody else."""
    return _signer.sign(str(user.pk))


def _owner(request: HttpRequest) -> str:
    """The key of the person whose page sent the form; "" if it is missing, expired or forged."""
    try:
        return _signer.unsign(request.POST.get(OWNER, ""), max_age=PAGE_LIVES)
    except BadSignature:
        return ""


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Redirects to the sign-in page, which leads back here. Keeps a posted form, and tells the person so."""
    if request.method == "POST":
        if keep(request):
            said = _("You were signed out, so nothing was saved yet. Sign in: what you typed is kept and shown again.")
        else:
            said = _("You were signed out, so nothing was done. Sign in, and do it again.")
        messages.warning(request, said)
    return redirect_to_login(request.get_full_path())


def keep(request: HttpRequest, is_signed_in: bool = False) -> bool:
    """Keeps the posted values in the session until their owner opens the same address.

    `is_signed_in`: they wait for another proof, not for a sign-in.
    Returns False, and keeps nothing, if the owner is unknown or may not sign in, or if there is too much or nothing.
    """
    owner = _owner(request)
    typed = {
        name: values
        for name, values in request.POST.lists()
        if name not in (OWNER, MARK) and not any(word in name.lower() for word in _SECRET)
    }
    size = sum(len(text) for name, values in typed.items() for text in (name, *values))
    if not owner or not typed or size > MOST_TYPED or not _works_here(owner):
        return False
    # A session cannot store NUL characters or halves of surrogate pairs.
    kept = {name: [_storable(value) for value in values] for name, values in typed.items()}
    request.session[_KEPT] = {
        "path": request.path,
        "owner": owner,
        "at": time.time(),
        "typed": kept,
        "had_files": bool(request.FILES),
        "is_signed_in": is_signed_in,
    }
    return True


def _works_here(owner: str) -> bool:
    """Whether this person can still sign in to the pages."""
    return get_user_model().objects.filter(pk=owner, is_active=True, is_staff=True).exists()


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def typed_before(request: HttpRequest) -> QueryDict | None:
    """The values that this person typed into this page's form before the session expired. Tells the person so.

    Returns them only once. None if there are none. Values that are too old or somebody else's are deleted.
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
    if kept.get("is_signed_in"):
        said = _("It is shown again as you typed it, and is not saved yet. Type secrets again.")
    else:
        said = _("You were signed out before this was sent. It is shown again as you typed it, and is not saved yet.")
    messages.warning(request, said)
    if kept["had_files"]:
        messages.warning(request, _("Files cannot be kept: choose them again."))
    return typed


def typed_fields(request: HttpRequest) -> dict[str, Any]:
    """The result of `typed_before()` for the `initial` of a form: the last value of each field; empty if none."""
    typed = typed_before(request)
    return {} if typed is None else typed.dict()


def form_out_of_date(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """The view for CSRF failures, named in the settings.

    A form from before the person signed in again is shown once more, with the typed values.
    """
    if asks_for_part(request):
        # htmx asks for a part of a page. The page stays, with what was typed.
        return csrf_failure(request, reason) if request.user.is_authenticated else HttpResponse(status=401)
    if not request.user.is_authenticated and _owner(request):
        return to_sign_in(request)
    if request.user.is_authenticated and _owner(request) == str(request.user.pk) and keep(request):
        return redirect(request.get_full_path())
    return csrf_failure(request, reason)
