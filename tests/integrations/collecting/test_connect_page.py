"""The page "Connect": what the partner's administrator enters, ready to copy, and no secret."""

from html import unescape

import pytest
from knox.models import AuthToken

from integrations.models import ExternalGroup, ExternalSystem
from tests.factories import SECRET
from tests.pages import text, web
from tests.rows import each_row

CONNECT = "/exchange/systems/ACME/connect/"
BASE = "https://desk.example.com"
SAID = {
    "push": [
        "We call ACME",
        "http://127.0.0.1:9/operations",
        "casexchange/",
        "In the headers webhook-id, webhook-timestamp and webhook-signature",
        f"by POST {BASE}/api/v1/operations/",
        '"system_id": "ACME"',
    ],
    "pull": [
        "ACME calls us",
        f"{BASE}/api/v1/",
        f"by GET {BASE}/api/v1/outbox/?wait=30",
        f"by POST {BASE}/api/v1/outbox/<id>/acknowledge/",
        "$ID/acknowledge/",
        "within 60 seconds",
    ],
    "smax": [
        "The adapter that ACME runs against SMAX",
        f"Address {BASE}",
        "Tenant production",
        "Account acme-integration",
        "SystemId ACME",
        "Entity types Incident, Request",
        f"by POST {BASE}/auth/authentication-endpoint/authenticate/login?TENANTID=production",
        f"by GET {BASE}/rest/production/ces?layout=Id,DisplayLabel&type=Incident&system=ACME&time=0",
        f"by POST {BASE}/rest/production/ces",
        "These are taken too: test.",
    ],
}


@pytest.fixture(autouse=True)
def _is_reachable(settings):
    settings.BASE_URL, settings.SMAX_TENANTS, settings.DELIVERY_LEASE = BASE, ["production", "test"], 60


@each_row("delivery", SAID)
def test_it_has_what_the_partner_enters_and_no_secret(ingrid, acme, delivery):
    smax = {"entity_types": ["Incident", "Request"]} if delivery == "smax" else {}
    endpoint = "http://127.0.0.1:9/operations" if delivery == "push" else ""
    ExternalSystem.objects.update(delivery=delivery, smax=smax, endpoint_url=endpoint)
    _, token = AuthToken.objects.create(acme.authorized_user)
    response = web(ingrid).get(CONNECT)
    said, source = text(response), unescape(response.content.decode())
    assert [each for each in SAID[delivery] if each not in said] == []
    assert [each for each in (SECRET, token, acme.authorized_user.password) if each in source] == []
    # Each value has a button, which a script shows, and works without it.
    assert source.count("data-copies=") == source.count('class="mono value"') + source.count('class="json value"')
    assert "Still to be done here" not in said


@each_row(
    ("delivery", "said"),
    [
        (
            "push",
            ["No signing secret is set", "has no API token", "No support group belongs to ACME", "ACME is disabled"],
        ),
        ("pull", ["has no API token", "No support group belongs to ACME", "ACME is disabled"]),
        ("smax", ["acme-integration has no password", "No support group belongs to ACME", "ACME is disabled"]),
    ],
)
def test_it_says_what_is_still_to_be_done_here(ingrid, acme, settings, delivery, said):
    ExternalGroup.objects.all().delete()
    ExternalSystem.objects.update(delivery=delivery, enabled=False, signing_secret="")
    acme.authorized_user.set_unusable_password()
    acme.authorized_user.save()
    settings.BASE_URL = "http://127.0.0.1:8000"
    page = text(web(ingrid).get(CONNECT))
    assert [each for each in [*said, "can be reached from this machine only"] if each not in page] == []


def test_it_is_linked_where_the_system_is(ingrid, alice, acme):
    for address in ("/exchange/status/", f"/admin/integrations/externalsystem/{acme.pk}/change/"):
        assert f'href="{CONNECT}"' in web(ingrid).get(address).content.decode()
    assert CONNECT not in web(alice).get("/exchange/status/").content.decode()
    assert web(ingrid).get("/exchange/systems/NOBODY/connect/").status_code == 404
