"""Texts of partners never reorder or hide the text around them, on any page."""

from html.parser import HTMLParser

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.utils import timezone

from changes.models import Attachment, Comment
from integrations.models import DeliveryAttempt, ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import SupportGroupFactory, UserFactory, change_in
from tests.pages import web
from tests.stored import store

pytestmark = pytest.mark.django_db
# A right-to-left word, and a character that reverses the rest of the line. An earlier release may have stored both.
NASTY = "שלום\u202eexe"
SHOWN = "שלום"
OWN_BOX = {"bdi", "textarea", "option", "script", "style"}
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "use", "rect", "line", "path"}


class Reader(HTMLParser):
    """Finds occurrences of the text that are isolated neither by an element nor by isolating characters."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.found, self.isolated = [], [], 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        for name, value in attrs.items():
            if SHOWN in (value or "") and name in {"title", "aria-label", "alt", "placeholder", "data-label"}:
                self._note(value, f"{tag} {name}")
        if tag == "input" and SHOWN in (attrs.get("value") or "") and attrs.get("type") not in {"hidden", "checkbox"}:
            if attrs.get("dir") != "auto":
                self.found.append(f"{tag} {attrs}")
            self.isolated += 1
        if tag not in VOID:
            self.stack.append((tag, tag in OWN_BOX or attrs.get("dir") == "auto" or attrs.get("class") == "readonly"))

    def handle_endtag(self, tag):
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if SHOWN not in data:
            return
        if any(is_own for _, is_own in self.stack):
            self.isolated += 1
        else:
            self._note(data, " > ".join(tag for tag, _ in self.stack[-4:]))

    def _note(self, text, where):
        before, after = text[: text.index(SHOWN)], text[text.index(SHOWN) :]
        if before.count("\u2068") > before.count("\u2069") and "\u202e" not in after:
            self.isolated += 1
        else:
            self.found.append(f"{where}: {text.strip()!r}")


@pytest.fixture
def change(acme, alice):
    group = SupportGroupFactory(name="ACME Networks")
    change = change_in("ApprovePlan", owning_group=group, requested_by=alice)
    texts = ("title", "service", "category", "description", "reason", "justification")
    store(change, **dict.fromkeys((*texts, "implementation_plan", "backout_plan"), NASTY))
    user = acme.authorized_user
    Comment(change=change, author=user, author_name="x", source_system="ACME", body=f"{NASTY}\n\n- {NASTY}").save()
    file = ContentFile(b"x", name="x")
    Attachment(change=change, author=user, source_system="ACME", author_name="x", file=file, file_name="x").save()
    ExternalReference.objects.create(change=change, system=acme, external_id="x", external_url="https://a.example/1")
    operation = OutgoingOperation.objects.filter(change=change).first()
    DeliveryAttempt.objects.create(
        operation=operation, claim=1, started_at=timezone.now(), duration=1, answer=NASTY, error=NASTY, note=NASTY
    )
    IncomingOperation.objects.create(
        system=acme,
        user=user,
        operation="Update",
        status="Failed",
        payload={"title": NASTY, "comments": [{"author": "x", "body": NASTY}]},
        error=NASTY,
        change=change,
        http_status=400,
        origin_system_id=NASTY,
        origin_operation_id=NASTY,
        body_sha256="0" * 64,
        idempotency_key=NASTY,
    )
    with connection.cursor() as cursor:
        for statement in (
            "UPDATE changes_comment SET author_name = %s",
            "UPDATE changes_attachment SET file_name = %s",
            "UPDATE changes_supportgroup SET name = %s",
            "UPDATE integrations_externalreference SET external_id = %s",
            "UPDATE integrations_externalreference SET external_status = %s",
            "UPDATE integrations_deliverycontrol SET breaker = 'Open', breaker_reason = %s",
            "UPDATE integrations_outgoingoperation SET last_error = %s",
        ):
            cursor.execute(statement, [NASTY])
    OutgoingOperation.objects.filter(pk=operation.pk).update(status="Refused")
    return change


def test_every_page_sets_apart_what_a_partner_wrote(change, acme):
    client = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    outgoing, incoming = OutgoingOperation.objects.first(), IncomingOperation.objects.first()
    day = change.planned_start.date()
    pages = [
        "/",
        "/changes/",
        f"/changes/{change.number}/",
        f"/changes/{change.number}/edit/",
        f"/changes/{change.number}/abandon/",
        f"/changes/{change.number}/comments/{change.comments.get().pk}/",
        *(f"/calendar/?view={view}&date={day}" for view in ("day", "week", "month")),
        "/exchange/",
        "/exchange/?direction=in",
        f"/exchange/{outgoing.pk}/",
        f"/exchange/{outgoing.pk}/skip/",
        f"/exchange/{incoming.pk}/",
        "/exchange/status/",
        f"/admin/changes/change/{change.pk}/change/",
        f"/admin/changes/change/{change.pk}/history/",
        f"/admin/integrations/outgoingoperation/{outgoing.pk}/change/",
    ]
    shown_on, open_texts = 0, {}
    for address in pages:
        page = client.get(address)
        assert page.status_code == 200, address
        reader = Reader(page.content.decode())
        open_texts |= {address: reader.found} if reader.found else {}
        shown_on += bool(reader.isolated)
    assert not open_texts, "\n".join(f"{page}: {text}" for page, texts in open_texts.items() for text in texts)
    assert shown_on >= len(pages) - 2
