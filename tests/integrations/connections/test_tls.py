"""A partner with an authority of its own that asks for a client certificate, over real TLS."""

from __future__ import annotations

import re
import ssl

import pytest

from integrations.models import OutgoingOperation
from integrations.outgoing import delivery
from tests.certificates import AUTHORITY, VALID, make_certificates
from tests.rows import each_row

from .conftest import connect, document_of
from .desk import TicketDesk

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

AUTH = '{kind: certificate, certificate: "{{ secret.CERTIFICATE }}", key: "{{ secret.KEY }}"}'
_KEY = re.compile(r"-----BEGIN PRIVATE KEY-----.*-----END PRIVATE KEY-----\n", re.DOTALL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The secrets as they should be, and those of another authority, under the names of OTHER."""
    found = {}
    for name in ("", "OTHER_"):
        folder = tmp_path_factory.mktemp("certificates")
        make_certificates(folder)
        both = (folder / VALID).read_text()
        key = _KEY.search(both)[0]
        found |= {f"{name}KEY": key, f"{name}CERTIFICATE": both.replace(key, "")}
        found |= {f"{name}CA": (folder / AUTHORITY).read_text(), f"{name}FOLDER": str(folder)}
    return found


@pytest.fixture
def desk(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{certificates['FOLDER']}/{VALID}")
    context.load_verify_locations(cadata=certificates["CA"])
    context.verify_mode = ssl.CERT_REQUIRED
    desk = TicketDesk(context)
    yield desk
    desk.close()


# What of the secrets is another, and what becomes of the operation. With TLS 1.3, a desk refuses our certificate after
# we began to send: it says why, or its system breaks the connection first.
CASES = [
    ({}, AUTH, ("Delivered", "", "")),
    ({"CA": "OTHER_CA"}, AUTH, ("Waiting", "tls", "certificate verify failed")),
    ({}, "none", ("Waiting", "tls or connection_broken", "")),
    ({"KEY": "OTHER_KEY", "CERTIFICATE": "OTHER_CERTIFICATE"}, AUTH, ("Waiting", "tls or connection_broken", "")),
    ({"KEY": "OTHER_KEY"}, AUTH, ("Refused", "certificate", "the certificate or its key cannot be used")),
    ({"KEY": "none"}, AUTH, ("Refused", "certificate", "the certificate or its key cannot be used")),
    ({"CA": "none"}, AUTH, ("Refused", "certificate", "the authority in ca cannot be used")),
]


@each_row(("others", "auth", "expected"), CASES)
def test_who_is_who(acme, desk, certificates, give_change, others, auth, expected):
    given = {name: certificates.get(others.get(name, name), "no PEM") for name in ("CA", "CERTIFICATE", "KEY")}
    connect(
        acme, document_of(desk, auth, 'ca: "{{ secret.CA }}"\n').replace("auth: none", "auth: {kind: none}"), **given
    )
    desk.received.clear()
    change = give_change()
    delivery.drain()
    operation = OutgoingOperation.objects.get(change=change)
    status, failure, error = expected
    assert operation.status == status, operation.last_error
    assert operation.last_failure in failure.split(" or "), operation.last_error
    assert ("SSL:" in operation.last_error) == (operation.last_failure == "tls")
    assert error in operation.last_error
    if status != "Delivered":
        assert desk.received == []
    assert not any(text in operation.last_error for text in given.values())
