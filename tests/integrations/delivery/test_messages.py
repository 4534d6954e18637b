"""Section 5 of the rules: the messages, the addresses they may go to, and the use of the answer."""

import json
from ipaddress import ip_network

import pytest
import standardwebhooks.webhooks as standardwebhooks
import svix.webhooks as svix

from integrations.models import DeliveryAttempt, Exchange, ExternalReference
from integrations.outgoing import delivery
from integrations.transports.base import Request, TransportError
from integrations.transports.http import HttpTransport
from integrations.transports.signing import new_secret
from tests.factories import ChangeFactory

from ..partner import answer
from .conftest import comment, first

pytestmark = pytest.mark.django_db


class TestAnswers:
    RECORD = {"external_id": "A-1", "external_url": "https://acme.example/A-1", "external_status": "New"}

    def test_it_fills_the_reference(self, acme, partner, change):
        partner.default = answer(200, self.RECORD)
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.change, reference.system) == (change, acme)
        assert {name: getattr(reference, name) for name in self.RECORD} == self.RECORD

    def test_a_later_one_updates_it(self, partner, change, alice):
        comment(change, alice)
        partner.script = [answer(200, self.RECORD), answer(200, {"external_id": "A-1", "external_status": "Done"})]
        delivery.drain()
        assert ExternalReference.objects.get().external_status == "Done"
        assert partner.received[1][1]["external_reference"]["external_id"] == "A-1"

    def test_a_link_that_no_database_keeps_is_left_out(self, partner, change):
        partner.default = answer(200, b'{"external_id": "A-1", "external_url": "https://acme.example/\\ud800"}')
        delivery.drain()
        assert first().status == "Delivered"
        assert ExternalReference.objects.get().external_url == ""

    @pytest.mark.parametrize("status", [200, 422, 503])
    def test_what_no_database_keeps_holds_nothing_up(self, acme, partner, change, alice, status):
        """A header in Latin-1, halves of surrogate pairs and NULs. The next operation still goes."""
        comment(change, alice)
        told = b'{"detail": "a\\ud800b\\u0000c", "external_id": "A-1", "external_status": "\\udc00"}'
        partner.script = [answer(status, told, X_Served_By="M\u00fcller")]
        delivery.drain()
        attempt = DeliveryAttempt.objects.earliest("pk")
        assert "X-Served-By: M" in attempt.answer_headers
        assert attempt.http_status == status
        assert first().status == {200: "Delivered", 422: "Refused", 503: "Waiting"}[status]
        if status == 422:
            assert first().last_error.endswith("a\ufffdb\ufffdc")

    UNUSABLE = [
        b"<html>fine</html>",
        b"{",
        b"[" * 100_000,
        b'"text"',
        b"\xff\xfe",
        {"external_id": [7]},
        {"external_id": "x" * 256},
        {"external_id": "\x00"},
        {"external_id": "TAKEN"},
        b'{"external_id": "A-\\udc00"}',
        {"external_status": "In progress"},
        b"x" * 200_000,
    ]

    @pytest.mark.any_database
    @pytest.mark.parametrize("body", UNUSABLE, ids=range(len(UNUSABLE)))
    def test_one_that_cannot_be_used_fails_no_delivery_and_is_kept(self, acme, partner, change, body):
        ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="TAKEN")
        partner.default = answer(200, body)
        delivery.drain()
        assert first().status == "Delivered"
        attempt = DeliveryAttempt.objects.get()
        assert attempt.note
        assert (attempt.failure, first().last_failure) == ("unusable_answer", "")
        assert attempt.answer
        assert not ExternalReference.objects.filter(change=change).exists()

    @pytest.mark.any_database
    def test_of_one_that_can_be_used_in_part_that_part_is(self, partner, change):
        partner.default = answer(200, {**self.RECORD, "external_status": True})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.external_id, reference.external_status) == ("A-1", "")
        assert "external_status" in DeliveryAttempt.objects.get().note

    @pytest.mark.any_database
    def test_a_link_that_is_no_web_address_is_left_out(self, partner, change):
        partner.default = answer(200, {**self.RECORD, "external_url": "javascript:alert(1)"})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (reference.external_id, reference.external_url) == ("A-1", "")
        assert "external_url" in DeliveryAttempt.objects.get().note

    def test_another_id_than_the_reference_is_not_used(self, acme, partner, change):
        ExternalReference.objects.create(change=change, system=acme, external_id="A-1")
        partner.default = answer(200, {"external_id": "A-2", "external_status": "Odd"})
        delivery.drain()
        reference = ExternalReference.objects.get()
        assert (first().status, reference.external_id, reference.external_status) == ("Delivered", "A-1", "")

    def test_it_is_not_used_once_the_partner_has_rejected_the_change(self, acme, partner, change):
        exchange = Exchange.objects.get()
        exchange.state = exchange.state.after_reject()
        exchange.save()
        partner.default = answer(200, self.RECORD)
        delivery.drain()
        assert (first().status, ExternalReference.objects.count()) == ("Delivered", 0)
        assert "rejected" in DeliveryAttempt.objects.get().note

    @pytest.mark.any_database
    def test_an_empty_one_is_fine(self, partner, change):
        partner.default = answer(204)
        delivery.drain()
        attempt = DeliveryAttempt.objects.get()
        assert (first().status, attempt.note, attempt.failure) == ("Delivered", "", "")


class TestWhatIsSent:
    @pytest.mark.any_database
    def test_the_message_has_the_members_of_the_contract(self, acme, partner, change, alice):
        comment(change, alice, "Parts?")
        delivery.drain()
        assign, update = (message for _, message, _ in partner.received)
        assert set(assign) == {
            *("id", "operation", "system_id", "sequence", "created_at", "origin", "change", "changed_fields"),
            *("external_reference", "comment", "attachment"),
        }
        assert (assign["operation"], assign["system_id"], assign["sequence"]) == ("Assign", "ACME", 1)
        assert assign["origin"] is assign["comment"] is assign["attachment"] is assign["external_reference"] is None
        assert assign["change"]["number"] == change.number
        assert assign["created_at"].endswith("Z")
        assert update["comment"]["body"] == "Parts?"
        assert update["comment"]["author"] == "alice"

    @pytest.mark.any_database
    @pytest.mark.parametrize("package", [standardwebhooks, svix], ids=lambda package: package.__name__)
    def test_it_is_signed_as_standard_webhooks_says(self, acme, partner, change, package):
        acme.previous_signing_secret, acme.signing_secret = acme.signing_secret, new_secret()
        acme.save()
        delivery.drain()
        headers, _, body = partner.received[0]
        for secret in acme.signing_secrets:
            package.Webhook(secret).verify(body, headers)  # raises if it is not
        for secret, changed in ((new_secret(), body), (acme.signing_secret, body + b" ")):
            with pytest.raises(package.WebhookVerificationError):
                package.Webhook(secret).verify(changed, headers)
        assert headers["User-Agent"].startswith("casexchange/")
        assert headers["Content-Type"] == "application/json"

    @pytest.mark.any_database
    def test_no_redirect_is_followed(self, partner, change):
        partner.script = [answer(307, None, Location=partner.url)]
        delivery.drain()
        assert (len(partner.received), first().status) == (1, "Refused")


class TestAddresses:
    @pytest.mark.any_database
    @pytest.mark.parametrize(
        "host",
        [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "10.0.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
            "224.0.0.1",
            "100.64.0.1",
            "[fe80::1]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::a00:1]",
            "[2002:a00:1::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[fec0::1]",
            "[3fff::1]",
            "[5f00::1]",
            "192.0.0.8",
            "192.88.99.1",
            "168.63.129.16",
            "[fd00::1]",
        ],
    )
    def test_only_public_ones_are_reached(self, acme, change, host):
        transport = HttpTransport([])
        request = Request(f"https://{host}:9/operations", {}, b"{}", 5)
        with pytest.raises(TransportError) as refused:
            transport.submit([request])[0].result(10)
        transport.close()
        assert refused.value.permanent, str(refused.value)

    @pytest.mark.any_database
    def test_in_clear_text_only_allowed_networks_are_reached(self, db):
        transport = HttpTransport([ip_network("127.0.0.0/8")])
        request = Request("http://93.184.216.34/operations", {}, b"{}", 5)
        with pytest.raises(TransportError, match="use https://") as refused:
            transport.submit([request])[0].result(10)
        transport.close()
        assert refused.value.permanent and refused.value.kind == "address_not_allowed"

    @pytest.mark.any_database
    def test_a_refused_address_waits_for_a_person(self, acme, change, partner, monkeypatch):
        monkeypatch.setattr(delivery, "_transport", lambda pid: HttpTransport([]))
        delivery.drain()
        assert partner.received == []
        assert first().status == "Refused"
        assert "OUTGOING_ALLOWED_NETWORKS" in first().last_error
        assert first().last_failure == "address_not_allowed"


def test_json_is_utf8(acme, partner, change):
    change.title = "Zürich ☃"
    change.owning_group = None
    change.save()
    delivery.drain()
    body = partner.received[1][2]
    assert "Zürich ☃" in body.decode()
    assert json.loads(body)["changed_fields"]["title"]["new"] == "Zürich ☃"
