"""A restored copy sends nothing, and takes nothing from partners, until somebody resumes."""

import json
from datetime import UTC, datetime

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from changes.models import RestoredCopy, SecurityEvent
from changes.security_log import chain
from integrations import tasks
from integrations.models import IncomingOperation, OutgoingOperation
from tests.commands import manage
from tests.factories import ChangeFactory, ExternalSystemFactory, UserFactory
from tests.integrations.connections.conftest import SECRET, connect, document_of
from tests.integrations.connections.desk import TicketDesk
from tests.integrations.smax.conftest import LOGIN, Adapter
from tests.pages import text, web

pytestmark = pytest.mark.django_db(transaction=True)

TIME = "2026-01-31T12:00:00Z"
# Each way of sending that a worker or beat has.
SENDING = (tasks.deliver, tasks.dispatch_due, tasks.release_stale, tasks.poll_due, tasks.bulk, tasks.tend_tokens)
INBOX = """
inbox:
  verify: {kind: token}
  operations:
    - {when: "{{ body.text }}", operation: Update, external_id: "{{ body.ticket }}", comments: [{body: "x"}]}
"""


@pytest.fixture
def desk():
    desk = TicketDesk()
    yield desk
    desk.close()


@pytest.fixture
def held(transactional_db):
    """A function that makes this database a restored copy."""
    return lambda: call_command("hold_after_restore", "--taken-at", TIME, "--yes")


def resume():
    call_command("resume_after_restore", "--yes")


def work():
    for task in SENDING:
        task()


def refused(answer):
    assert answer.status_code == 503, answer.content
    assert answer["Retry-After"] == "300"
    assert "This is a restored copy" in answer.content.decode()


def test_nothing_is_pushed(acme, partner, give, held):
    ids = [str(one.pk) for one in give(acme, 2).order_by("pk")]
    held()
    work()
    assert partner.received == []
    resume()
    tasks.deliver()
    assert sorted(body["id"] for _, body, _ in partner.received) == ids, "the ids are the same"


def test_a_mapped_partner_is_neither_called_nor_asked_for_news(acme, desk, held):
    connect(
        acme,
        document_of(
            desk,
            more="poll:\n  every: 60\n  list: {get: /news, items: '{{ body }}'}\n"
            "  external_id: '{{ item.ticket }}'\n  cursor: '{{ item.id }}'\n"
            "  operation: {operation: Update, key: '{{ item.id }}', comments: [{body: x}]}\n",
        ),
        API_KEY=SECRET,
    )
    ChangeFactory(owning_group=acme.external_groups.get().group)
    held()
    work()
    assert [str(one) for one in desk.received] == []
    resume()
    work()
    called = {str(one) for one in desk.received}
    assert {"POST /tickets", "GET /news"} <= called


def test_a_partner_that_collects_is_told_to_come_later(acme, give, partner_api, held):
    acme.delivery, acme.endpoint_url = "pull", ""
    acme.save()
    waiting = give(acme).first()
    client = partner_api(acme)
    held()
    body = {"system_id": "ACME", "operation": "Create", "external_id": "A-1", "properties": {"title": "From ACME"}}
    calls = [
        client.get("/api/v1/outbox/"),
        client.get("/api/v1/outbox/", {"wait": 5}),
        client.post(f"/api/v1/outbox/{waiting.pk}/acknowledge/", {}),
        client.post("/api/v1/operations/", body),
        client.get("/api/v1/changes/"),
        client.post(f"/api/v1/changes/{waiting.change.number}/attachments/", {}),
    ]
    for answer in calls:
        refused(answer)
        assert answer.json()["errors"][0]["code"] == "restored_copy"
    assert not IncomingOperation.objects.exists()
    waiting.refresh_from_db()
    assert waiting.handed_out_at is None
    resume()
    assert [one["operation"] for one in client.get("/api/v1/outbox/").json()["results"]] == ["Assign", "Update"]
    assert client.post("/api/v1/operations/", body).status_code == 201


def test_an_smax_adapter_is_told_to_come_later(acme, give, held):
    acme.delivery, acme.endpoint_url = "smax", ""
    acme.save()
    give(acme)
    adapter = Adapter(acme)
    held()
    refused(adapter.call("get", "ces?layout=Id&type=Change&system=ACME&time=0", 503) and _last(adapter))
    refused(_last(adapter, "post", {"entities": [adapter.entity("Create")]}))
    for _ in range(30):  # which count as no failures to sign in
        refused(adapter.client.post(LOGIN, {"login": "any", "password": "any"}, content_type="application/json"))
    resume()
    assert len(Adapter(acme).feed()) == 2, "it signs in anew"


def _last(adapter, method="get", body=None):
    address = f"{adapter.root}/ces"
    if method == "get":
        return adapter.client.get(address, {"layout": "Id", "type": "Change", "system": "ACME", "time": 0})
    return adapter.client.post(address, json.dumps(body), content_type="application/json")


def test_an_inbox_takes_nothing(acme, desk, partner_api, held):
    connect(acme, document_of(desk, more=INBOX), API_KEY=SECRET)
    token = partner_api(acme)._credentials["HTTP_AUTHORIZATION"]
    held()

    def post():
        return Client().post("/api/v1/inbox/ACME/", '{"text": ""}', "application/json", HTTP_AUTHORIZATION=token)

    refused(post())
    resume()
    assert post().status_code == 202


def test_no_mail_goes_out_about_security_events(held, settings):
    settings.HAS_MAIL = True
    UserFactory(username="root", email="root@example.com", is_superuser=True)
    held()
    ExternalSystemFactory(system_id="GAMMA")
    tasks.tend_security_log()
    tasks.tend_tokens()
    assert mail.outbox == []
    resume()
    tasks.tend_security_log()
    assert mail.outbox


def test_nobody_calls_a_partner_by_hand(acme, partner, ingrid, held):
    held()
    page = text(web(ingrid).post("/exchange/systems/ACME/ping/"))
    assert "This is a restored copy, which calls nobody. Nothing was called." in page
    assert partner.asked == partner.received == []
    resume()
    web(ingrid).post("/exchange/systems/ACME/ping/")
    assert partner.asked


def test_people_work_on_and_every_page_says_what_it_is(acme, alice, api, held):
    change = ChangeFactory(requested_by=alice)
    pages = ("/", "/exchange/status/", f"/changes/{change.number}/", "/changes/")
    said = "This is a restored copy of 2026-01-31 12:00:00 UTC. Nothing is sent to partners"
    assert [said in text(web(alice).get(page)) for page in pages] == [False] * len(pages)
    held()
    cache.clear()
    assert [said in text(web(alice).get(page)) for page in pages] == [True] * len(pages)
    assert api(alice).get("/api/v1/changes/").status_code == 200
    resume()
    cache.clear()
    assert [said in text(web(alice).get(page)) for page in pages] == [False] * len(pages)


def test_the_commands_say_what_is_held_and_what_would_be_sent(acme, give, held):
    give(acme)
    assert manage("exchange_status").returncode == 0
    assert manage("resume_after_restore", "--yes").returncode == 1, "nothing is held"
    held()
    status = manage("exchange_status", "--json")
    assert status.returncode == 3
    assert json.loads(status.stdout)["restored_copy"]["taken_at"] == TIME
    assert f"This is a restored copy of {TIME}. Nothing is sent to partners" in status.stderr
    assert f"This is a restored copy of {TIME}." in manage("doctor").stdout
    again = manage("hold_after_restore")
    assert (again.returncode, "It is marked already." in again.stderr) == (1, True)

    for arguments, why in (
        ([], "Give --yes"),
        (["--yes", "--skip", "GAMMA"], "there is no system GAMMA. Registered: ACME"),
    ):
        done = manage("resume_after_restore", *arguments)
        assert (done.returncode, why in done.stderr) == (1, True), done.stderr
        assert RestoredCopy.objects.exists()
    done = manage("resume_after_restore", "--yes")
    assert done.returncode == 0
    assert "ACME: 2 would be sent, 0 from before the backup" in done.stdout
    assert "with the same ids" in done.stdout
    assert not RestoredCopy.objects.exists()
    chain.seal()
    kinds = [*SecurityEvent.objects.order_by("id").values_list("kind", flat=True)]
    assert kinds[-2:] == ["exchange_held", "exchange_resumed"]


def test_what_waits_can_be_skipped_for_a_partner_that_would_do_it_twice(acme, beta, give, partner, held):
    before, of_beta = give(acme), give(beta)
    old = datetime(2026, 1, 30, tzinfo=UTC)
    OutgoingOperation.objects.filter(pk__in=[one.pk for one in [*before, *of_beta]]).update(created_at=old)
    held()
    give(acme)
    call_command("resume_after_restore", "--yes", "--skip", "ACME")
    statuses = OutgoingOperation.objects.order_by("created_at", "pk").values_list("system__system_id", "status")
    assert sorted(statuses) == [("ACME", "Skipped")] * 4 + [("BETA", "Waiting")] * 2
    assert "Restored copy of 2026-01-31T12:00:00Z" in OutgoingOperation.objects.filter(status="Skipped")[0].skip_reason


def test_a_time_that_is_none_is_refused(transactional_db):
    done = manage("hold_after_restore", "--taken-at", "yesterday")
    assert (done.returncode, "--taken-at: yesterday is no time" in done.stderr) == (1, True)
    assert not RestoredCopy.objects.exists()


def test_from_a_backup_to_the_same_operations_again(change, partner, elsewhere, tmp_path):
    file = str(tmp_path / "backup.tar")
    assert manage("backup", file).returncode == 0
    assert "Tried to send 4 operations." in manage("deliver").stdout
    first = [body["id"] for _, body, _ in partner.received]

    assert elsewhere.manage("restore", file).returncode == 0
    assert "Tried to send 0 operations." in elsewhere.manage("deliver").stdout
    assert elsewhere.manage("exchange_status").returncode == 3
    assert len(partner.received) == 4

    told = elsewhere.manage("resume_after_restore", "--yes")
    assert "ACME: 4 would be sent, 4 from before the backup" in told.stdout
    assert "Tried to send 4 operations." in elsewhere.manage("deliver").stdout
    again = [body["id"] for _, body, _ in partner.received][4:]
    assert again == first
