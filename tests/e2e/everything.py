"""Fills a migrated database so that every page shows something: `python -m tests.e2e.everything`.

Runs with the environment of an installation, and also collects its static files. Prints a JSON object: `sessions`, the
session key of each person, who is then signed in, and `keys`, the variable parts of the pages' addresses. All texts by
people are German, so any English text on a German page comes from the product.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import django

# What packages bring and no page of the product uses: compressing it takes seconds.
ON_NO_PAGE = ["drf_spectacular_sidecar", "rest_framework", "django_htmx"]
TEXT = "Der Kernschalter in Halle 4 bekommt keine Sicherheitskorrekturen mehr.\n\nEr wird nachts getauscht."
FIELDS = {
    "title": "Kernschalter tauschen",
    "description": TEXT,
    "reason": "Ende der Unterstützung",
    "justification": "Keine Ersatzteile",
    "category": "Netz",
    "service": "LAN",
    "implementation_plan": "Nachts tauschen.",
    "backout_plan": "Den alten wieder einbauen.",
}
MARKDOWN = "**Teile** sind da:\n\n- Schalter\n- Kabel\n\n`show version` siehe <https://example.com/>"
REFUSED = "Der Datensatz ist gesperrt."
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000 1f15c4890000000d49444154789c63f8cfc0f01f00050001ff"
    "89993d1d0000000049454e44ae426082".replace(" ", "")
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\n%%EOF\n"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "casexchange.settings")
    django.setup()
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=ON_NO_PAGE)
    people, keys = fill()
    print(json.dumps({"sessions": {name: _session(user) for name, user in people.items()}, "keys": keys}))


def fill() -> tuple[dict[str, Any], dict[str, str]]:
    """Creates all data. Returns the people, and the values for the addresses of pages."""
    people = _people()
    keys = _partners() | _changes(people)
    return people, keys | {f"{name}_user": str(user.pk) for name, user in people.items()}


def _people() -> dict[str, Any]:
    from axes.models import AccessAttempt
    from django.conf import settings

    from changes.choices import Role
    from tests.factories import SupportGroupFactory, UserFactory

    # The next wrong password for this name locks it.
    guesses = settings.AXES_FAILURE_LIMIT - 1
    AccessAttempt.objects.create(username="nobody", ip_address="203.0.113.7", failures_since_start=guesses)
    people = {
        "alice": UserFactory(username="alice", roles=[Role.AGENT]),
        "boss": UserFactory(username="boss", roles=[Role.CHANGE_MANAGER, Role.INTEGRATION_ADMINISTRATOR]),
        "root": UserFactory(username="root", is_superuser=True, is_staff=True),
        "protected": UserFactory(username="protected", roles=[Role.AGENT]),
    }
    _protect(people["protected"])
    SupportGroupFactory(name="Netz").members.set(people.values())
    SupportGroupFactory(name="Arbeitsplatz").members.set([people["boss"]])
    return people


def _protect(user: Any) -> None:
    """Gives the user an authenticator app, and tokens."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
    from knox.models import AuthToken

    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    for expiry in (timedelta(days=3), timedelta(days=300), None):
        AuthToken.objects.create(user, expiry=expiry)


def _session(user: Any) -> str:
    from django.conf import settings

    from tests.pages import web

    return web(user).cookies[settings.SESSION_COOKIE_NAME].value


def _partners() -> dict[str, str]:
    """ACME accepts everything. BETA's circuit breaker is open. GAMMA is paused. DELTA is disabled. EPSILON pulls, and
    ZETA, which has an SMAX adapter, has stopped to poll. ETA is called by its own API."""
    from django.utils import timezone
    from knox.models import AuthToken

    from integrations.models import ExternalSystem
    from integrations.outgoing import outbox
    from tests.factories import ExternalGroupFactory
    from tests.mapped import mapped_system

    names = {"ACME": "ACME Netze", "BETA": "BETA Server", "GAMMA": "GAMMA Anwendungen", "DELTA": "DELTA Drucker"}
    names |= {"EPSILON": "EPSILON Telefonie", "ZETA": "ZETA Gebäude"}
    groups = {name: ExternalGroupFactory(group__name=group, system__system_id=name) for name, group in names.items()}
    outbox.open_breaker(groups["BETA"].system, "BETA zieht um")
    ExternalSystem.objects.filter(system_id="GAMMA").update(paused_at=timezone.now(), pause_status=410)
    ExternalSystem.objects.filter(system_id="DELTA").update(enabled=False)
    mapped_system("ETA", "ETA Haustechnik")
    for name, delivery in (("EPSILON", "pull"), ("ZETA", "smax")):
        ExternalSystem.objects.filter(system_id=name).update(delivery=delivery, endpoint_url="")
    # It ends soon, as the status page says.
    token, _ = AuthToken.objects.create(groups["ACME"].system.authorized_user, expiry=timedelta(days=9))
    keys = {f"{name.lower()}_system": str(group.system_id) for name, group in groups.items()}
    return {**keys, "acme_group": str(groups["ACME"].group_id), "token": token.pk}


def _changes(people: dict[str, Any]) -> dict[str, str]:
    from changes.choices import ChangeType, Phase
    from changes.models import SupportGroup
    from tests.factories import change_in

    group = {row.name: row for row in SupportGroup.objects.all()}
    alice = people["alice"]

    def make(phase: str, owner: str = "Netz", **fields: Any) -> Any:
        return change_in(phase, **{**FIELDS, "requested_by": alice, "owning_group": group[owner], **fields})

    for number in range(60):
        phase = [*Phase][number % len(Phase)]
        # Standard changes on the same day and service, which overlap in the calendar.
        kind = ChangeType.STANDARD if phase in (Phase.LOG, Phase.PLAN, Phase.DEPLOY) else ChangeType.NORMAL
        make(phase, title=f"Zugangsschalter {number + 1} tauschen", change_type=kind)
    empty = dict.fromkeys(("description", "reason", "justification", "category", "service"), "")
    made = {
        "fresh": make(Phase.LOG, **empty, risk=None),
        "stuck": make(Phase.PLAN, "ACME Netze"),
        "approve": make(Phase.APPROVE_PLAN),
        "deploy": make(Phase.DEPLOY, "ACME Netze"),
        "backout": make(Phase.BACKOUT, "BETA Server"),
        "paused": make(Phase.VALIDATE, "GAMMA Anwendungen"),
        "emergency": make(Phase.REVIEW, change_type=ChangeType.EMERGENCY),
        "closed": make(Phase.CLOSE),
        "abandoned": make(Phase.ABANDON),
        "edited": make(Phase.PLAN),
        "busy": make(Phase.DEPLOY, "ACME Netze", title="Kernschalter tauschen, viel besprochen"),
        "pulled": make(Phase.PLAN, "EPSILON Telefonie"),
        "polled": make(Phase.PLAN, "ZETA Gebäude"),
    }
    return {name: change.number for name, change in made.items()} | _exchange(made, alice)


def _exchange(made: dict[str, Any], alice: Any) -> dict[str, str]:
    """Comments, attachments, and operations in every state."""
    from django.core.files.base import ContentFile
    from django.utils import timezone

    from changes.models import Attachment, Comment
    from integrations.models import DeliveryAttempt, ExternalReference, ExternalSystem, OutgoingOperation
    from integrations.outgoing import outbox

    acme = ExternalSystem.objects.get(system_id="ACME")
    stuck, deploy, busy = made["stuck"], made["deploy"], made["busy"]
    # All earlier operations were delivered to ACME, except the Assign of `stuck`, which was refused.
    for operation in outbox.claim(500):
        answer = '{"external_id": "%s"}' % f"C-{operation.change_id}"  # noqa: UP031 - braces of JSON
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.2)
        outcome, error = outbox.Outcome.DELIVERED, ""
        attempt.http_status, attempt.answer = 200, answer
        if operation.change_id == stuck.pk:
            outcome, error, attempt.http_status, attempt.answer = outbox.Outcome.REFUSED, REFUSED, 422, REFUSED
        else:
            ExternalReference.objects.create(
                change_id=operation.change_id,
                system=acme,
                external_id=f"C-{operation.change_id}",
                external_url=f"https://acme.example/C-{operation.change_id}",
                external_status="Angenommen",
            )
        outbox.settle([outbox.Result(operation, attempt, outcome, error)])
    for change, count in ((busy, 60), (stuck, 2), (deploy, 3), (made["backout"], 2), (made["paused"], 1)):
        for number in range(count):
            Comment(change=change, author=alice, body=f"{MARKDOWN}\n\nTeil {number + 1}").save()
    Comment(change=deploy, author=alice, body="Nur unter uns.", visibility="private").save()
    partner = {"author": acme.authorized_user, "author_name": "M. Holm", "source_system": "ACME"}
    Comment(change=deploy, body="Wir fangen an.", **partner).save()
    files = {
        "bild.png": (PNG, "image/png"),
        "plan.pdf": (PDF, "application/pdf"),
        "notiz.txt": (b"Notiz", "text/plain"),
    }
    for name, (content, kind) in files.items():
        file = ContentFile(content, name=name)
        Attachment(change=deploy, author=alice, file=file, file_name=name, content_type=kind).save()
    _collect()
    refused = OutgoingOperation.objects.get(change=stuck, status="Refused")
    return {
        "refused": str(refused.pk),
        "waiting": str(OutgoingOperation.objects.filter(change=busy, status="Waiting").latest("sequence").pk),
        "delivered": str(OutgoingOperation.objects.filter(change=deploy, status="Delivered")[0].pk),
        "stuck_pk": str(stuck.pk),
        "handed_out": str(OutgoingOperation.objects.get(change=made["pulled"]).pk),
        "in_the_feed": str(OutgoingOperation.objects.get(change=made["polled"]).pk),
        "closed_pk": str(made["closed"].pk),
        "deploy_pk": str(deploy.pk),
        **{name.partition(".")[0]: str(Attachment.objects.get(file_name=name).pk) for name in files},
        **_incoming(acme, deploy),
    }


def _collect() -> None:
    """EPSILON collects what waits for it, and has not acknowledged it yet. ZETA got its Assign from its feed."""
    from django.utils import timezone

    from integrations.models import DeliveryControl, ExternalSystem
    from integrations.outgoing import outbox

    outbox.hand_out(ExternalSystem.objects.get(system_id="EPSILON"), None, 100)
    outbox.feed(ExternalSystem.objects.get(system_id="ZETA"), None, 0, 100)
    DeliveryControl.objects.filter(system__system_id="ZETA").update(asked_at=timezone.now() - timedelta(hours=3))


def _incoming(acme: Any, change: Any) -> dict[str, str]:
    from django.utils import timezone

    from integrations.models import IncomingOperation

    payload = {"system_id": "ACME", "operation": "Update", "external_id": f"C-{change.pk}"}
    common = {"system": acme, "user": acme.authorized_user, "payload": payload, "body_sha256": "0" * 64}
    common |= {"change": change, "operation": "Update"}
    applied = IncomingOperation.objects.create(status="Applied", http_status=200, result={"ok": 1}, **common)
    failed = IncomingOperation.objects.create(status="Failed", http_status=409, error=REFUSED, **common)
    IncomingOperation.objects.filter(pk=failed.pk).update(received_at=timezone.now() - timedelta(hours=2))
    return {"applied": str(applied.pk), "failed": str(failed.pk)}


if __name__ == "__main__":
    main()
