"""A partner's `external_url` may be any http(s) address with a host, in operations and in answers."""

import pytest

from integrations.models import DeliveryAttempt, ExternalReference
from integrations.outgoing import delivery
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.pages import web

from .partner import answer

pytestmark = pytest.mark.django_db
TAKEN = [
    "http://jira/browse/OPS-1",
    "https://my_desk.corp.example/1",
    "https://desk.example:8443/a?b=c#d",
    "http://[2001:db8::1]/x",
    "http://10.0.0.1",
    "https://tickets.münchen.example/störung?q=ä",
    "https://user@desk.example/1",
    "https://desk.example/a%20b/(c)/{d}",
]
REFUSED = [
    "javascript:alert(1)",
    "ftp://desk.example/1",
    "desk.example/1",
    "//desk.example/1",
    "http://",
    "http:///1",
    "https://:443/1",
    "https://desk.example/a b",
    "https://desk.example/\n1",
    "https://desk.example/\u202e1",
    "http://[::1",
    "https://desk.example:99999/",
    "x",
]
SAID = "Give a web address that begins with http:// or https:// and names a host, without spaces."


def test_an_operation_may_name_it(acme, partner_api, alice):
    client = partner_api(acme)
    body = {"system_id": "ACME", "operation": "Create", "properties": {"title": "T"}}
    for number, url in enumerate(TAKEN):
        told = client.post("/api/v1/operations/", {**body, "external_id": f"C-{number}", "external_url": url}, "json")
        assert (told.status_code, told.json()["external_reference"]["external_url"]) == (201, url)
        page = web(alice).get(f"/changes/{told.json()['change']['number']}/").content.decode()
        assert f'href="{url}"' in page.replace("&amp;", "&")
    for url in REFUSED:
        told = client.post("/api/v1/operations/", {**body, "external_id": "bad", "external_url": url}, "json")
        errors = [(error["attr"], error["detail"]) for error in told.json()["errors"]]
        assert (told.status_code, errors) == (400, [("external_url", SAID)]), url
    assert ExternalReference.objects.count() == len(TAKEN)


def test_an_answer_may_name_it(acme, partner):
    group = SupportGroupFactory(name="ACME Networks")
    for url, is_taken in [*((url, True) for url in TAKEN), *((url, False) for url in REFUSED)]:
        change = ChangeFactory(owning_group=group)
        partner.default = answer(200, {"external_id": change.number, "external_url": url})
        delivery.drain()
        assert change.external_references.get().external_url == (url if is_taken else "")
        note = DeliveryAttempt.objects.latest("id").note
        assert note == ("" if is_taken else f"external_url was not used: {SAID}"), url
