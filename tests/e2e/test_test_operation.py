"""A test operation in a whole installation."""

from tests.html_forms import read_form

TEST = "/exchange/status/ACME/test/"


def signed_in(running_exchange, username):
    """An HTTP client of the web server with a signed-in session."""
    client = running_exchange.api(None)
    key = running_exchange.shell(
        f"""
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
user = get_user_model().objects.get(username="{username}")
session = SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(session.session_key)
"""
    ).strip()
    client.cookies.set("sessionid", key)
    return client


def test_it_goes_through_worker_and_transport_to_the_partners_desk(running_exchange):
    client = signed_in(running_exchange, "ingrid")
    form = read_form(client.get(TEST), "group")
    response = client.post(TEST, data=form["fields"], headers={"Referer": running_exchange.base_url + TEST})
    assert response.status_code == 200, response.text
    address = response.url.removeprefix(running_exchange.base_url)
    number = address.rstrip("/").rpartition("/")[2]
    running_exchange.until_received("ACME", number, ["Assign", "Cancel"])
    page = running_exchange.until(
        "the page says that it works",
        lambda: (shown := client.get(address)).ok and "It works: ACME has taken the test." in shown.text and shown,
    )
    assert "Its record at ACME is ACME-" in page.text
    (record,) = running_exchange.simulator.get("/api/records", params={"system_id": "ACME", "change": number}).json()
    assert record["external_status"] == "Cancelled"
    assert running_exchange.api("alice").get(f"/api/v1/changes/{number}/").json()["phase"] == "Abandon"
