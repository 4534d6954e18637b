"""What our own program says of tries is in the language of the page; what the partner says stays as it is."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from integrations.choices import Failure
from integrations.models import DeliveryAttempt, OutgoingOperation
from integrations.standing import notes
from tests.pages import text, web
from tests.rows import each_row

GERMAN = {"accept-language": "de"}


@pytest.fixture
def tried(acme, give):
    """Lets the page of an operation show one try."""
    give(acme)
    operation = OutgoingOperation.objects.earliest("sequence")

    def tried(**values):
        operation.attempts.all().delete()
        DeliveryAttempt.objects.create(operation=operation, claim=1, started_at=timezone.now(), duration=0.1, **values)
        return operation

    return tried


def of_page(person, operation, **headers):
    """What the pages with the tries say: ours, and the administration's."""
    return [
        text(web(person).get(address, headers=headers))
        for address in (
            reverse("exchange:operation", args=[operation.pk]),
            f"/admin/integrations/outgoingoperation/{operation.pk}/change/",
        )
    ]


@each_row(
    ("failure", "error", "english", "german"),
    [
        (
            Failure.TIMEOUT,
            "no complete answer within 15 s",
            "ACME did not answer in time.",
            "ACME hat nicht rechtzeitig geantwortet.",
        ),
        (
            Failure.CONNECTION_REFUSED,
            "[Errno 111] Connect call failed ('127.0.0.1', 9)",
            "Nothing accepts connections at the address of ACME.",
            "Unter der Adresse von ACME werden keine Verbindungen angenommen.",
        ),
        (
            Failure.RULE,
            "the status of the record is closed",
            "A rule of the connection refused it: the status of the record is closed.",
            "Eine Regel der Verbindung hat sie verweigert: the status of the record is closed.",
        ),
        (
            Failure.SIGN_IN,
            "auth: the answer has no token",
            "ACME gave no token: auth: the answer has no token.",
            "ACME hat kein Token gegeben: auth: the answer has no token.",
        ),
        (
            Failure.CONNECTION_DOCUMENT,
            "call.url: the URL is empty",
            "The connection document of ACME cannot be used: call.url: the URL is empty.",
            "Das Verbindungsdokument von ACME ist nicht verwendbar: call.url: the URL is empty.",
        ),
        (
            Failure.REFUSED,
            "No such group",
            "ACME refused it: No such group.",
            "ACME hat sie verweigert: No such group.",
        ),
    ],
)
def test_why_a_try_failed_is_said_in_the_language_of_the_page(ingrid, tried, failure, error, english, german):
    operation = tried(failure=failure, error=error)
    for said in of_page(ingrid, operation):
        assert english in said
    for said in of_page(ingrid, operation, **GERMAN):
        assert german in said


def test_what_the_transport_saw_stays_beside_it(ingrid, tried):
    operation = tried(failure=Failure.CONNECTION_REFUSED, error="[Errno 111] Connect call failed ('10.0.0.7', 9)")
    for said in of_page(ingrid, operation, **GERMAN):
        assert "[Errno 111] Connect call failed ('10.0.0.7', 9)" in said


@each_row(
    ("note", "german"),
    [
        (notes.NOT_JSON, "Die Antwort ist kein JSON und wurde nicht verwendet."),
        (
            notes.NO_TEXT % {"names": "external_id, external_url"},
            "Kein Text, daher nicht verwendet: external_id, external_url.",
        ),
        (
            notes.NAMES_ANOTHER % {"named": "'A. 1'", "known": "'B'"},
            "Die Antwort nennt 'A. 1', die Referenz ist aber 'B'.",
        ),
        (
            f"{notes.NO_TEXT % {'names': 'external_url'}} {notes.TAKEN % {'named': repr('A')}}",
            "Kein Text, daher nicht verwendet: external_url. Die Antwort wurde nicht verwendet: 'A' gehört zu einem "
            "anderen Change.",
        ),
        ("The partner said something.", "The partner said something."),
    ],
)
def test_a_note_of_ours_is_translated_and_another_stays(ingrid, tried, note, german):
    operation = tried(failure=Failure.UNUSABLE_ANSWER, http_status=200, note=note)
    for said in of_page(ingrid, operation):
        assert note in said
    for said in of_page(ingrid, operation, **GERMAN):
        assert german in said
