"""The simulator's pages, where a person acts as the partner."""

import re

from changes.models import Change
from integrations.models import ExternalReference

from .conftest import message


def test_a_person_plays_the_partner_with_the_forms(connected, page):
    page.goto(connected.url)
    page.get_by_text("Create a change at the other desk").click()
    page.get_by_label("Title").fill("Replace core switch")
    page.get_by_role("button", name="Send Create").click()
    assert page.get_by_role("status").inner_text().startswith("Create from ACME was answered 201.")
    change = Change.objects.get()
    assert change.title == "Replace core switch"
    assert page.get_by_role("heading", level=1).inner_text() == "ACME-1001 New"
    assert f"Kept by ACME for {change.number}." in page.locator("main").inner_text()

    page.get_by_label("Comment").fill("Parts ordered")
    page.get_by_label("Other properties, as JSON").fill('{"risk": "Low"}')
    page.get_by_role("button", name="Send Update").click()
    assert page.get_by_role("status").inner_text().startswith("Update from ACME was answered 200.")
    change.refresh_from_db()
    assert change.risk == "Low"
    assert [comment.body for comment in change.comments.all()] == ["Parts ordered"]

    page.get_by_role("button", name="Send Assign").click()
    page.get_by_role("button", name="Send Cancel").click()
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Abandon", "Withdrawn")

    page.goto(connected.url)
    page.get_by_text("Update, Assign, Reject or Cancel a change").click()
    page.get_by_label("Record", exact=True).fill("ACME-1001")
    page.get_by_role("button", name="Send Reject").click()
    assert page.get_by_role("status").inner_text().startswith("Reject from ACME was answered 200.")
    assert not ExternalReference.objects.exists()


def test_a_person_changes_the_behaviour_with_the_form(simulator, number, page):
    page.goto(simulator.url)
    section = page.get_by_role("region", name="ACME")
    section.get_by_text("Behaviour", exact=True).click()
    section.get_by_label("What it does with a message").select_option("Answer a status")
    section.get_by_label("How many times").fill("1")
    section.get_by_label("Status to answer").fill("429")
    section.get_by_role("button", name="Set the behaviour").click()
    assert section.get_by_text("answers 429, 1 more time(s)").is_visible()
    assert [simulator.push("ACME", message(number)).status_code for _ in range(2)] == [429, 200]


def test_a_form_that_makes_no_sense_says_so(simulator):
    answer = simulator.api.post("/behaviour", data={"system_id": "ACME", "mode": "answer", "status": "often"})
    assert answer.status_code == 400
    assert "The behaviour was not changed." in answer.text
    answer = simulator.api.post("/send", data={"system_id": "ACME", "operation": "Update", "properties": "{"})
    assert answer.status_code == 400
    assert "Nothing was sent. The properties are not JSON" in answer.text


def test_the_pages_show_what_came_as_text_never_as_markup(simulator, number):
    evil = '<script>alert("1")</script>'
    body = message(number, comment={"body": evil}, change={"number": number, "title": evil}, operation=evil)
    record = simulator.push("ACME", body).json()
    for path in ("/", f"/records/ACME/{record['external_id']}"):
        page = simulator.api.get(path)
        assert page.status_code == 200
        assert "&lt;script&gt;alert(" in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_pages_show_a_surrogate_half(simulator, number):
    simulator.push("ACME", message(number, comment={"body": "\ud800"}))
    assert number in simulator.api.get("/").text


def test_the_overview_shows_the_last_of_each_partner_and_all_of_one(simulator, number):
    for place in range(15):
        simulator.push("ACME", message(f"{number}-{place:02}"))
    overview = simulator.api.get("/").text
    assert overview.count(f"<td>{number}-") == 12
    assert simulator.api.get("/?partner=ACME").text.count(f"<td>{number}-") == 15
    assert f"<td>{number}-" not in simulator.api.get("/?partner=BETA").text
    assert simulator.api.get("/?partner=ZETA").status_code == 404


def test_the_pages_load_nothing_from_elsewhere_and_document_the_addresses(simulator, number):
    page = simulator.api.get("/").text
    assert re.findall(r'(?:src|href)="(?!/)', page) == []
    for path in ("/operations", "/api/received", "/api/sequence", "/send", "/behaviour"):
        assert path in page


def test_a_stranger_s_name_for_the_simulator_s_address_shows_and_changes_nothing(simulator):
    """DNS rebinding: the browser of somebody here asks for evil.example, which its owner points to this address."""
    for method, path in (("GET", "/"), ("GET", "/api/received"), ("PUT", "/api/partners/ACME/behaviour")):
        for host in ("evil.example", "evil.example:9911", "localhost.evil.example", "127.0.0.1.evil.example", "[", ""):
            answer = simulator.api.request(method, path, data="{}", headers={"Host": host})
            assert answer.status_code == 421, (method, path, host)
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:1", "[::1]:1", "10.1.2.3"):
        assert simulator.api.get("/", headers={"Host": host}).status_code == 200, host


def test_the_pages_are_in_no_frame_and_say_what_browsers_may_use(simulator):
    headers = simulator.api.get("/").headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_a_page_of_another_host_cannot_send_anything(simulator):
    before = simulator.get("/api/partners/ACME/behaviour"), simulator.get("/api/sent")
    for method, path in (("PUT", "/api/partners/ACME/behaviour"), ("POST", "/send"), ("POST", "/behaviour")):
        answer = simulator.api.request(method, path, data="{}", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 403
    assert (simulator.get("/api/partners/ACME/behaviour"), simulator.get("/api/sent")) == before
