"""The exchange from end to end, with separate processes for web server, worker, beat and partner.

Uses PostgreSQL and Redis, or with `--database sqlite` the embedded default.
"""

import base64
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.exchange import Client
from tests.pages import asked_for

SESSION = """
from django.contrib.auth import get_user_model
from django.test import Client

client = Client()
user = get_user_model().objects.get(username="alice")
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
print(client.cookies["sessionid"].value)
"""


@pytest.fixture
def new_change(running_exchange):
    """`new_change(owning_group=...)` creates a change as alice, through the API, and returns its number."""

    def make(**fields):
        response = running_exchange.api("alice").post(
            "/api/v1/changes/", json={"title": "Replace core switch", **fields}
        )
        assert response.status_code == 201, response.text
        return response.json()["number"]

    return make


@pytest.fixture
def behaves(running_exchange):
    """`behaves("ACME", {...})` sets the behaviour of a partner until the end of the test."""
    changed = []

    def behave(system_id, behaviour):
        changed.append(system_id)
        answer = running_exchange.simulator.put(f"/api/partners/{system_id}/behaviour", json=behaviour)
        assert answer.status_code == 200, answer.text

    yield behave
    for system_id in changed:
        running_exchange.simulator.delete(f"/api/partners/{system_id}/behaviour")


def edit(running_exchange, number, **fields):
    response = running_exchange.api("alice").patch(f"/api/v1/changes/{number}/", json=fields)
    assert response.status_code == 200, response.text


def comment(running_exchange, number, body="Hello"):
    response = running_exchange.api("alice").post(f"/api/v1/changes/{number}/comments/", json={"body": body})
    assert response.status_code == 201, response.text


def reference(running_exchange, number):
    return running_exchange.api("alice").get(f"/api/v1/changes/{number}/").json()["external_references"]


def test_a_change_goes_to_the_partner_and_comes_back(running_exchange, new_change):
    number = new_change(owning_group="ACME Networks")
    running_exchange.until_received("ACME", number, ["Assign"])
    (record,) = running_exchange.until("ACME's own number is known", lambda: reference(running_exchange, number))
    assert record["external_id"].startswith("ACME-")
    comment(running_exchange, number, "Any news?")
    edit(running_exchange, number, owning_group="Network")
    edit(running_exchange, number, completion_code="Withdrawn")
    comment(running_exchange, number, "Nobody hears this")
    taken = running_exchange.until_received("ACME", number, ["Assign", "Update", "Accept", "Cancel"])
    assert [message["sequence"] for message in taken] == [1, 2, 3, 4]


def test_an_attachment_can_be_fetched_by_the_partner(running_exchange, new_change):
    number = new_change(owning_group="ACME Networks")
    content = b"the plan" * 1000
    response = running_exchange.api("alice").post(
        f"/api/v1/changes/{number}/attachments/", files={"file": ("plan.txt", content, "text/plain")}
    )
    assert response.status_code == 201, response.text
    running_exchange.until_received("ACME", number, ["Assign", "Update"])
    attachment = response.json()
    assert attachment["sha256"] == hashlib.sha256(content).hexdigest()
    path = f"/api/v1/attachments/{attachment['id']}/content/"
    assert running_exchange.partner_api("ACME").get(path).content == content
    assert running_exchange.partner_api("BETA").get(path).status_code == 404


def test_a_partner_creates_and_works_on_a_change(running_exchange):
    acme = running_exchange.partner_api("ACME")

    def send(operation, **fields):
        body = {"system_id": "ACME", "operation": operation, "external_id": "REAL-1", **fields}
        return acme.post("/api/v1/operations/", json=body)

    created = send("Create", properties={"title": "From ACME", "owning_group": "BETA Servers"})
    assert created.status_code == 201, created.text
    number = created.json()["change"]["number"]
    running_exchange.until_received("BETA", number, ["Assign"])
    content = base64.b64encode(b"log").decode()
    updated = send(
        "Update",
        properties={"risk": "High"},
        comments=[{"body": "See the log"}],
        attachments=[{"file_name": "log.txt", "content_base64": content}],
    )
    assert updated.status_code == 200, updated.text
    assert send("Assign").status_code == 200
    assert send("Update", properties={"phase": "Close"}, comments=[{"body": "Lost"}]).status_code == 409
    assert send("Cancel").status_code == 200
    assert send("Reject").status_code == 200
    # Two additions, and the comment of the Assign. Nothing after the Cancel, not even the comment of the Reject.
    running_exchange.until_received("BETA", number, ["Assign", "Update", "Update", "Update", "Cancel"])
    assert running_exchange.received("ACME", number) == []
    change = running_exchange.api("alice").get(f"/api/v1/changes/{number}/").json()
    assert (change["phase"], change["completion_code"]) == ("Abandon", "Withdrawn")
    bodies = [
        item["body"]
        for item in running_exchange.api("alice").get(f"/api/v1/changes/{number}/comments/").json()["results"]
    ]
    assert bodies == [
        "See the log",
        "Change was assigned locally from external system",
        "Change was rejected by the external fulfillment system",
    ]


def test_a_partner_that_is_down_gets_everything_in_order_once_it_is_back(running_exchange, new_change, behaves):
    behaves("BETA", {"mode": "down"})
    number = new_change(owning_group="BETA Servers")
    for text in ("one", "two", "three"):
        comment(running_exchange, number, text)
    other = new_change(owning_group="ACME Networks")
    running_exchange.until_received("ACME", other, ["Assign"])
    assert running_exchange.received("BETA", number) == []
    behaves("BETA", {"mode": "normal"})
    running_exchange.until_received("BETA", number, ["Assign", "Update", "Update", "Update"])


def test_a_worker_that_is_killed_loses_nothing(running_exchange, new_change):
    running_exchange.kill_process("worker")
    number = new_change(owning_group="ACME Networks")
    comment(running_exchange, number)
    running_exchange.start_process("worker")
    running_exchange.until_received("ACME", number, ["Assign", "Update"])


def test_without_beat_the_wake_up_is_enough(running_exchange, new_change):
    running_exchange.stop_process("beat")
    try:
        number = new_change(owning_group="ACME Networks")
        running_exchange.until_received("ACME", number, ["Assign"])
    finally:
        running_exchange.start_process("beat")


_OTHER_SECRET = """
from integrations.models import ExternalSystem
beta = ExternalSystem.objects.get(system_id="BETA")
print(beta.signing_secret)
beta.signing_secret = "whsec_" + "A" * 44
beta.save()
"""
_MEND_WHEN_PAUSED = """
import time
from integrations.models import ExternalSystem
from integrations.outgoing import outbox
beta = ExternalSystem.objects.get(system_id="BETA")
deadline = time.monotonic() + 60
while not beta.paused_at and time.monotonic() < deadline:
    time.sleep(0.1)
    beta.refresh_from_db()
operations = beta.outgoing_operations.filter(change__number="{number}")
print(beta.paused_at is not None, *operations.values_list("status", "tries"))
beta.signing_secret = "{secret}"
beta.save()
outbox.resume(beta)
"""


def test_a_signature_with_another_secret_is_refused_by_the_partner_and_pauses_the_system(running_exchange, new_change):
    """The simulator answers 401. All operations wait until the secret is corrected, and none is refused."""
    secret = running_exchange.shell(_OTHER_SECRET).strip()
    number = new_change(owning_group="BETA Servers")
    state = running_exchange.shell(_MEND_WHEN_PAUSED.format(number=number, secret=secret))
    assert state.strip() == "True ('Waiting', 0)"
    running_exchange.until_received("BETA", number, ["Assign"])


@pytest.mark.parametrize("content_type", ["application/json; charset*=bogus''x", ";"])
def test_a_content_type_that_is_nonsense_is_refused_by_the_server_itself(running_exchange, content_type):
    """Django reads the header before it calls a view, so the request must pass the WSGI entry point."""
    client = running_exchange.api("alice")
    answer = client.post("/api/v1/changes/", data=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code in (400, 415), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


# --- Bulk jobs ---


@pytest.fixture
def staff_pages(running_exchange):
    """`staff_pages("carol")` is a client of the pages with carol signed in. `post` adds the CSRF token."""

    def client(username):
        session = running_exchange.shell(
            "from django.contrib.auth import get_user_model\n"
            "from django.test import Client\n"
            "client = Client()\n"
            f"user = get_user_model().objects.get(username={username!r})\n"
            "client.force_login(user, backend='django.contrib.auth.backends.ModelBackend')\n"
            "print(client.cookies['sessionid'].value)"
        ).strip()
        pages = Client(running_exchange.base_url)
        pages.cookies.set("sessionid", session)
        assert pages.get("/changes/bulk/").status_code == 200
        pages.headers["X-CSRFToken"] = pages.cookies["csrftoken"]
        return pages

    return client


def test_a_bulk_job_that_is_started_on_its_page_reaches_the_partner(running_exchange, new_change, staff_pages):
    numbers = [new_change(title=f"Patch {number}") for number in range(3)]
    group = running_exchange.shell(
        "from changes.models import SupportGroup; print(SupportGroup.objects.get(name='ACME Networks').pk)"
    ).strip()
    carol = staff_pages("carol")
    form = carol.post("/changes/bulk/reassign/", data={"scope": "ticked", "change": numbers})
    assert "3 changes are chosen" in form.text
    address = form.url.removeprefix(running_exchange.base_url)
    preview = carol.post(address, data={"preview": "1", "group": group})
    assert "3 Assign" in preview.text
    job = preview.url.removeprefix(running_exchange.base_url)
    carol.post(f"{job}start/")
    running_exchange.until("the job is finished", lambda: "Finished" in carol.get(job).text)
    for number in numbers:
        running_exchange.until_received("ACME", number, ["Assign"])
        assert number in carol.get(f"{job}?show=done").text


def test_the_answer_to_an_open_page_waits_for_news(running_exchange, new_change):
    number = new_change(owning_group="ACME Networks")
    running_exchange.until("ACME's own number is known", lambda: reference(running_exchange, number))
    page = Client(running_exchange.base_url)
    page.cookies.set("sessionid", running_exchange.shell(SESSION).strip())
    content = page.get(f"/changes/{number}/").text
    with ThreadPoolExecutor(1) as threads:
        while True:
            version, address = re.search(r'id="news" data-version="([^"]*)" hx-get="([^"]*)"', content).groups()
            headers = asked_for(version, Target="news")
            asked = threads.submit(page.get, address.replace("&amp;", "&"), headers=headers, timeout=60)
            if not wait([asked], timeout=2).done:
                break
            content = asked.result().text or content  # the delivery, or another minute
        comment(running_exchange, number, "Here it is")
        news = asked.result()
    assert news.status_code == 200
    assert "Here it is" in news.text
