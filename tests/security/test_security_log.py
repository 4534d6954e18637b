"""What was done, on whichever way, and what the security log says of it."""

from __future__ import annotations

import copy
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from changes.choices import Role
from integrations.models import ExternalGroup, ExternalSystem
from integrations.outgoing import outbox
from integrations.setup import configuration
from tests.factories import (
    PASSWORD,
    ExternalGroupFactory,
    ExternalSystemFactory,
)
from tests.html_forms import post_form
from tests.rows import each_row

from .people import attempt, set_up_app, signed_in
from .security_log import events, last, told, whole

SYSTEM = "A command or a worker"
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
AGENT, AUDITOR = Role.AGENT.value, Role.AUDITOR.value


def _shell(user: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(user, name, value)
    user.save()


# --- Signing in ---


def _lock(scene: Any) -> None:
    for _ in range(12):
        attempt(Client(), "alice", "wrong", **ELSEWHERE)


def _change_password(scene: Any) -> None:
    new = "another good passphrase"
    post_form(signed_in("alice"), "/accounts/password/", oldpassword=PASSWORD, password1=new, password2=new)


def _sign_out_elsewhere(scene: Any) -> None:
    client, _other = signed_in("alice"), signed_in("alice")
    client.post("/accounts/sessions/")


def _unlock(scene: Any) -> None:
    row = AccessAttempt.objects.create(username="alice", ip_address="203.0.113.7", failures_since_start=12)
    signed_in("root").post(f"/admin/axes/accessattempt/{row.pk}/delete/", {"post": "yes"})


WRONG = "Refused sign-in for alice from 203.0.113.7."
LOCKED = "Locked after too many wrong attempts: sign-in for alice from 203.0.113.7."
SIGNING_IN = [
    (lambda scene: attempt(Client(), "alice"), ["alice signed in."]),
    (lambda scene: signed_in("alice").post("/accounts/logout/"), ["alice signed in.", "alice signed out."]),
    (lambda scene: attempt(Client(), "alice", "wrong", **ELSEWHERE), [WRONG]),
    (
        lambda scene: attempt(Client(), "correct horse", "wrong"),
        ["Refused sign-in for an unknown name from 127.0.0.1."],
    ),
    (_lock, [WRONG] * 9 + [LOCKED]),
    (_unlock, ["root signed in.", "root unlocked alice."]),
    (_change_password, ["alice signed in.", "alice changed the password of alice."]),
    (
        _sign_out_elsewhere,
        ["alice signed in.", "alice signed in.", "alice ended sessions of alice: 1."],
    ),
    (
        lambda scene: set_up_app(signed_in("alice")),
        [
            "alice signed in.",
            "alice added a second factor for alice: TOTP Authenticator.",
            "alice added a second factor for alice: Recovery codes.",
        ],
    ),
    (
        lambda scene: call_command("link_oidc", "alice", "alice-at-company", stdout=_Silent()),
        [f"{SYSTEM} linked alice with an account of the OpenID provider."],
    ),
]


class _Silent:
    def write(self, text: str) -> None:
        pass


# --- Accounts and roles ---


def _in_admin(scene: Any, **typed: Any) -> None:
    answer = post_form(signed_in("root"), f"/admin/auth/user/{scene.bob.pk}/change/", **typed)
    assert answer.status_code == 302


def _new_account(scene: Any) -> None:
    typed = {"username": "dora", "password1": "a good passphrase", "password2": "a good passphrase"}
    answer = post_form(signed_in("root"), "/admin/auth/user/add/", **typed, is_partner_account="on")
    assert answer.status_code == 302


def _password_in_admin(scene: Any) -> None:
    new = "another good passphrase"
    typed = {"password1": new, "password2": new}
    assert post_form(signed_in("root"), f"/admin/auth/user/{scene.bob.pk}/password/", **typed).status_code == 302


ACCOUNTS = [
    (
        lambda scene: _in_admin(scene, first_name="Bob", email="b@example.com"),
        [
            "root signed in.",
            "root changed the account bob. [email address: bob@example.com -> b@example.com] [first name:  -> Bob]",
        ],
    ),
    (
        lambda scene: _in_admin(scene, groups=[str(Group.objects.get(name=AGENT).pk)]),
        ["root signed in.", f"root gave the role {AGENT} to bob."],
    ),
    (lambda scene: _in_admin(scene, is_active=None), ["root signed in.", "root deactivated the account bob."]),
    (lambda scene: _in_admin(scene, is_superuser="on"), ["root signed in.", "root made bob a superuser."]),
    (_password_in_admin, ["root signed in.", "root changed the password of bob."]),
    (
        _new_account,
        ["root signed in.", "root created the account dora.", "root made dora the account of a partner's system."],
    ),
    (lambda scene: _shell(scene.bob, is_active=False), [f"{SYSTEM} deactivated the account bob."]),
    (lambda scene: _shell(scene.bob, is_staff=True), [f"{SYSTEM} changed the account bob. [staff status: no -> yes]"]),
    (lambda scene: scene.bob.delete(), [f"{SYSTEM} deleted the account bob."]),
    (
        lambda scene: Group.objects.get(name=AUDITOR).user_set.add(scene.bob),
        [f"{SYSTEM} gave the role {AUDITOR} to bob."],
    ),
    (lambda scene: scene.alice.groups.clear(), [f"{SYSTEM} took the role {AGENT} from alice."]),
    (
        lambda scene: Group.objects.get(name=AGENT).permissions.add(Permission.objects.get(codename="delete_user")),
        [f"{SYSTEM} gave permissions to {AGENT}: auth.delete_user."],
    ),
    (
        lambda scene: scene.bob.user_permissions.set(Permission.objects.filter(codename="delete_user")),
        [f"{SYSTEM} gave permissions to bob: auth.delete_user."],
    ),
    (lambda scene: Group.objects.create(name="Helpers"), [f"{SYSTEM} created the role Helpers."]),
    # Nothing changed, so nothing is said.
    (lambda scene: _shell(scene.bob, is_active=True), []),
]


# --- Tokens, systems, groups ---


def _revoke(scene: Any) -> None:
    row, _ = AuthToken.objects.create(scene.acme.authorized_user)
    data = {"action": "revoke", "_selected_action": [row.pk], "confirmed": "yes"}
    signed_in("ingrid").post("/admin/knox/authtoken/", data)


def _use_expired(scene: Any) -> None:
    _, token = AuthToken.objects.create(scene.bob)
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    headers = {"Authorization": f"Bearer {token}"}
    assert scene.api().get("/api/v1/changes/", headers=headers).status_code == 401


def _change_system(scene: Any, **typed: Any) -> None:
    page = f"/admin/integrations/externalsystem/{scene.acme.pk}/change/"
    assert post_form(signed_in("ingrid"), page, **typed).status_code in (200, 302)


def _pause_and_resume(scene: Any) -> None:
    _shell(scene.acme, paused_at=timezone.now(), pause_status=401)
    outbox.resume(scene.acme)


PARTNER = "acme-integration"
COLLECTS = {"delivery": "pull", "endpoint_url": ""}
PARTNERS = [
    (
        lambda scene: call_command("create_api_token", PARTNER, stdout=_Silent(), stderr=_Silent()),
        [f"{SYSTEM} made the API token … for {PARTNER}."],
    ),
    (
        _revoke,
        [
            f"{SYSTEM} made the API token … for {PARTNER}.",
            "ingrid signed in.",
            f"ingrid revoked the API token … of {PARTNER}.",
        ],
    ),
    (
        _use_expired,
        [
            f"{SYSTEM} made the API token … for bob.",
            "The API token … of bob was used after its end, and removed.",
            "Refused a call with a token that is not valid from 127.0.0.1: GET /api/v1/changes/.",
        ],
    ),
    (
        # It has no endpoint: what was empty and stays empty is not told.
        lambda scene: ExternalSystemFactory(system_id="GAMMA", authorized_user=scene.partner, **COLLECTS),
        [
            f"{SYSTEM} registered the system GAMMA. [enabled:  -> yes]",
            f"{SYSTEM} made gamma-integration the authorized user of GAMMA.",
        ],
    ),
    (
        lambda scene: _change_system(scene, authorized_user=str(scene.partner.pk)),
        [
            "ingrid signed in.",
            f"ingrid made gamma-integration the authorized user of ACME. "
            f"[authorized user: {PARTNER} -> gamma-integration]",
        ],
    ),
    (
        lambda scene: _change_system(scene, endpoint_url="https://acme.example/in?key=hidden-key"),
        [
            "ingrid signed in.",
            "ingrid changed the system ACME. "
            "[endpoint URL: http://127.0.0.1:9/operations -> https://acme.example/in?…]",
        ],
    ),
    (
        lambda scene: _change_system(scene, generate_secret="on"),
        [
            "ingrid signed in.",
            "ingrid changed the system ACME. [previous signing secret changed] [signing secret changed]",
            "ingrid was shown the new signing secret of ACME.",
        ],
    ),
    (  # The secrets stay the same.
        lambda scene: call_command("rotate_secrets", stdout=_Silent()),
        [f"{SYSTEM} encrypted all stored secrets with the present key."],
    ),
    (lambda scene: _change_system(scene, enabled=None), ["ingrid signed in.", "ingrid disabled the system ACME."]),
    (lambda scene: _shell(scene.acme, enabled=False), [f"{SYSTEM} disabled the system ACME."]),
    (
        _pause_and_resume,
        ["The system ACME was paused, because it answered 401.", f"{SYSTEM} resumed the system ACME."],
    ),
    (
        lambda scene: signed_in("ingrid").post("/exchange/status/ACME/open/", {"reason": "Maintenance"}),
        ["ingrid signed in.", "ingrid opened the circuit breaker of ACME. (Maintenance (ingrid))"],
    ),
    (
        lambda scene: [outbox.open_breaker(scene.acme, "Maintenance"), outbox.close_breaker(scene.acme)],
        [
            f"{SYSTEM} opened the circuit breaker of ACME. (Maintenance)",
            f"{SYSTEM} closed the circuit breaker of ACME.",
        ],
    ),
    (
        lambda scene: ExternalGroupFactory(group=scene.plain, system=scene.acme),
        [f"{SYSTEM} gave the group Storage to the system ACME."],
    ),
    (
        lambda scene: _shell(ExternalGroup.objects.get(system=scene.acme), system=scene.beta),
        [f"{SYSTEM} gave the group ACME Networks to the system BETA. [system: ACME -> BETA]"],
    ),
    (
        lambda scene: ExternalGroup.objects.get(system=scene.beta).delete(),
        [f"{SYSTEM} took the group BETA Servers from the system BETA."],
    ),
    (
        lambda scene: configuration.load("groups: [{name: Storage, external_system: BETA}]", {}),
        [
            f"{SYSTEM} gave the group Storage to the system BETA.",
            f"{SYSTEM} loaded a configuration file. Changes: 1.",
        ],
    ),
]


# --- Operations, and refusals ---


def _retry_window(scene: Any) -> None:
    client, now = signed_in("ingrid"), timezone.now()
    times = {name: f"{now + timedelta(days=days):%Y-%m-%dT%H:%M}" for name, days in (("since", -1), ("until", 1))}
    job = client.post("/exchange/retry/", {**times, "zone": "UTC"})["Location"]
    client.post(f"{job}start/")


def _start_with_a_skip(scene: Any) -> None:
    _shell(scene.acme, enabled=False)
    page = f"/admin/integrations/externalsystem/{scene.acme.pk}/start/"
    answer = post_form(signed_in("ingrid"), page, reason="Too old", decision="skip")
    assert answer.status_code == 302


def _operation(scene: Any, **fields: Any) -> Any:
    body = {"system_id": "BETA", "operation": "Update", "properties": {"title": "x"}, **fields}
    return scene.api(scene.beta.authorized_user).post("/api/v1/operations/", body, format="json")


MADE = f"{SYSTEM} made the API token … for "
OPERATIONS = [
    (
        lambda scene: signed_in("ingrid").post(f"/exchange/{scene.operation.pk}/retry/"),
        ["ingrid signed in.", "ingrid retried Assign 1 to ACME ({number})."],
    ),
    (
        lambda scene: signed_in("ingrid").post(f"/exchange/{scene.operation.pk}/skip/", {"reason": "Told by phone"}),
        ["ingrid signed in.", "ingrid skipped operations to ACME: Assign 1 to ACME ({number}). (Told by phone)"],
    ),
    (
        _start_with_a_skip,
        [
            f"{SYSTEM} disabled the system ACME.",
            "ingrid signed in.",
            "ingrid skipped operations to ACME: Assign 1 to ACME ({number}). (Too old)",
            "ingrid enabled the system ACME.",
        ],
    ),
    (_retry_window, ["ingrid signed in.", "ingrid started to retry operations: 1."]),
    (
        lambda scene: signed_in("alice").post(f"/exchange/{scene.operation.pk}/retry/"),
        ["alice signed in.", "alice was refused: POST /exchange/{operation}/retry/."],
    ),
    (
        lambda scene: signed_in("alice").get("/admin/auth/user/"),
        ["alice signed in.", "alice was refused: GET /admin/auth/user/."],
    ),
    (
        lambda scene: scene.api(scene.bob).get("/api/v1/changes/?token=hidden-key"),
        [f"{MADE}bob.", "bob was refused: GET /api/v1/changes/."],
    ),
    (
        lambda scene: _operation(scene, system_id="ACME"),
        [f"{MADE}beta-integration.", "beta-integration was refused: POST /api/v1/operations/."],
    ),
    (
        lambda scene: _operation(scene, change_number=scene.change.number),
        [f"{MADE}beta-integration.", "beta-integration sent Update for {number}, which is not theirs."],
    ),
    (lambda scene: _operation(scene, change_number="CHG9999999"), [f"{MADE}beta-integration."]),
    (
        lambda scene: scene.api().get("/api/v1/changes/", headers={"Authorization": "Bearer hidden-key"}),
        ["Refused a call with a token that is not valid from 127.0.0.1: GET /api/v1/changes/."],
    ),
    # A stranger who is led to the sign-in was not refused anything.
    (lambda scene: [Client().get("/changes/"), scene.api().get("/api/v1/changes/")], []),
    (
        lambda scene: signed_in("ingrid").get("/security-log/export.csv?person=bob"),
        ["ingrid signed in.", "ingrid exported this log."],
    ),
]


@each_row("deed, expected", [*SIGNING_IN, *ACCOUNTS, *PARTNERS, *OPERATIONS])
def test_what_is_done_on_whichever_way_is_told_in_a_sentence(scene, deed, expected):
    names = {"number": scene.change.number, "operation": scene.operation.pk}
    own = {name: copy.deepcopy(value) for name, value in vars(scene).items() if isinstance(value, Model)}
    before = last()
    deed(SimpleNamespace(api=scene.api, **own))
    assert without_tokens(before) == [text.format(**names) for text in expected]


def without_tokens(after: int) -> list[str]:
    """What is told, without the names and ends of tokens, which differ each time."""
    told = [whole(event).replace(event.details.get("name", "…"), "…") for event in events(after)]
    return [re.sub(r" \[end of the token:  -> [-0-9]{10} [0-9:+]+\]", "", text) for text in told]


def test_an_entry_says_who_from_where_and_by_which_token(scene):
    before = last()
    _operation(scene, change_number=scene.change.number)
    made, sent = events(before)
    token = AuthToken.objects.get(user=scene.beta.authorized_user)
    assert (made.actor_id, made.actor_name, made.address) == (None, "system", "")
    assert (sent.actor_id, sent.actor_name) == (scene.beta.authorized_user.pk, "beta-integration")
    assert (sent.address, sent.system_id, sent.token) == ("127.0.0.1", "BETA", f"{token.token_key[:8]}…")


def test_a_deleted_person_stays_in_the_log(scene):
    signed_in("bob")
    before = last()
    scene.bob.delete()
    assert told(before) == [f"{SYSTEM} deleted the account bob."]
    assert "bob signed in." in told()
    assert not get_user_model().objects.filter(username="bob").exists()
    assert ExternalSystem.objects.count() == 2
