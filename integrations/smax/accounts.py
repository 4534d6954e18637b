"""Signing in with the password of a partner's account, and the tokens that adapters get for it.

Old adapters sign in before each call. So a process that has checked a password remembers a keyed digest of it, and does
not hash it again. The digest counts only for the address that it was checked for: otherwise anybody could guess as fast
as digests are computed. Wrong passwords are throttled, for each account and address.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from changes.actor import Actor
from changes.api.throttling import address_of
from changes.conflicts import written_apart
from changes.protection.addresses import counted, is_loopback
from changes.rate_limits import Rate, use, wait_for
from changes.security_log.recording import Subject, record, refuse
from integrations.choices import Delivery
from integrations.models import SmaxAddress, SmaxToken

NAME_MAX_LENGTH = 150
# Wrong passwords: for an account from one address, for an account from all addresses but its own, and from an address
# for any account.
OF_ACCOUNT_HERE, OF_ACCOUNT, OF_ADDRESS = Rate(10, 300), Rate(100, 3600), Rate(50, 300)
# The security log tells of an adapter's sign-ins once in this time for each address.
TOLD = Rate(1, 3600)
REFUSED = "The login or the password is wrong, or the account may not sign in here."
# An address from which an account signed in so lately counts as its own. It is noted once a day.
OWN_FOR, NOTED = timedelta(days=30), Rate(1, 24 * 3600)
# Digests that a process remembers. Beyond that all are forgotten, and the passwords are hashed once more.
MOST_KEPT = 10_000

_key = secrets.token_bytes(32)
_checked: dict[tuple[int, str], bytes] = {}
_lock = threading.Lock()


def forget() -> None:
    """Forgets the passwords that this process has checked, as when it starts anew."""
    with _lock:
        _checked.clear()


def signed_in(request: Request | HttpRequest, name: object, password: object) -> User:
    """The partner's account with this password. Raises AuthenticationFailed, Throttled or TooBusy.

    Do not call it in a transaction: a rollback would undo the count of failures.
    """
    if not isinstance(name, str) or not isinstance(password, str) or not 0 < len(name) <= NAME_MAX_LENGTH:
        raise AuthenticationFailed(REFUSED)
    address = counted(address_of(request))
    account = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:32]
    here = {f"smax:{account}@{address}": OF_ACCOUNT_HERE}
    if not is_loopback(address):  # with a proxy on the same machine all callers may have that address
        here[f"smax:@{address}"] = OF_ADDRESS
    _refuse_throttled(here)
    user = _account(name)
    if user is not None and _is_checked(user, password, address):
        _note(user, address)
        return user
    is_own = user is not None and _is_own(user, address)
    everywhere = {} if is_own else {f"smax:{account}": OF_ACCOUNT}
    _refuse_throttled(everywhere)
    if user is None or not user.check_password(password):
        if user is None:
            get_user_model()().set_password(password)  # takes as long as a check, so that the time tells nothing
        # Of an unknown name nothing is kept: it may be a password.
        refuse("sign_in_refused", Subject.of(user) if user else Subject("auth.user", "", ""), is_repeated=False)
        if wait := max(use(key, rate) for key, rate in {**here, **everywhere}.items()):
            raise Throttled(wait)
        raise AuthenticationFailed(REFUSED)
    _remember(user, password, address)
    _note(user, address)
    if not use(f"smax:told:{account}@{address}", TOLD):
        record("adapter_signed_in", Subject.of(user), actor=Actor(user))
    return user


def _refuse_throttled(limits: dict[str, Rate]) -> None:
    if wait := max((wait_for(name, rate) for name, rate in limits.items()), default=0):
        raise Throttled(wait)


def _account(name: str) -> User | None:
    """The account of this name, if an SMAX adapter may use it. The password of anybody else is not even looked at."""
    if "\x00" in name:
        return None
    users = get_user_model().objects.filter(username=name, is_active=True, is_staff=False, is_superuser=False)
    return users.filter(partner_account__isnull=False, authorized_systems__delivery=Delivery.SMAX).first()


def _digest(user: User, password: str) -> bytes:
    """Another hash of the account, such as after a new password, is another digest."""
    return hmac.digest(_key, f"{user.password}\n{password}".encode(errors="surrogatepass"), "sha256")


def _is_checked(user: User, password: str, address: str) -> bool:
    with _lock:
        kept = _checked.get((user.pk, address), b"")
    return hmac.compare_digest(kept, _digest(user, password))


def _remember(user: User, password: str, address: str) -> None:
    with _lock:
        if len(_checked) >= MOST_KEPT:
            _checked.clear()
        _checked[user.pk, address] = _digest(user, password)


# --- An account's own addresses ---


def _is_own(user: User, address: str) -> bool:
    lately = timezone.now() - OWN_FOR
    return SmaxAddress.objects.filter(user=user, address=address, seen_at__gt=lately).exists()


def _note(user: User, address: str) -> None:
    """Keeps the address as the account's own. A day's later sign-ins cost nothing."""
    if not use(f"smax:seen:{user.pk}@{address}", NOTED):
        _keep(user, address)


@written_apart()
def _keep(user: User, address: str) -> None:
    SmaxAddress.objects.update_or_create(user=user, address=address, defaults={"seen_at": timezone.now()})


# --- Tokens ---


def new_token(user: User) -> str:
    """A token for `user`, which is stored as a digest alone."""
    token = secrets.token_urlsafe(32)
    ends = timezone.now() + timedelta(seconds=settings.SMAX_TOKEN_SECONDS)
    SmaxToken.objects.create(digest=_hashed(token), user=user, expires_at=ends)
    return token


def user_of_token(token: str) -> User | None:
    """The account that has this token; None if the token has ended, or its account may not sign in any more."""
    valid = SmaxToken.objects.filter(digest=_hashed(token), expires_at__gt=timezone.now(), user__is_active=True)
    found = valid.select_related("user").first()
    return found.user if found else None


def drop_expired() -> int:
    """The sweep, of addresses too. Returns how many tokens had ended."""
    SmaxAddress.objects.filter(seen_at__lte=timezone.now() - OWN_FOR).delete()
    return SmaxToken.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def name_of_token(token: str) -> str:
    """The beginning of the token, as for those of the API."""
    return f"{token[:8]}…"


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
