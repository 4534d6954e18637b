"""Operations of a mapped system: the calls of its document, their memory, and what their answers mean."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from changes.models import Comment
from integrations.connections import partner_tokens, revisions, secrets, trying
from integrations.connections.document import connection_of
from integrations.models import (
    ConnectionRevision,
    ConnectionSecret,
    ConnectionToken,
    DeliveryAttempt,
    ExternalReference,
    OutgoingOperation,
)
from integrations.outgoing import delivery, outbox
from integrations.standing.flow import flow_of
from tests.html_forms import post_form
from tests.pages import text, web
from tests.security.security_log import told

from .conftest import SECRET, connect, document_of
from .desk import TicketDesk

pytestmark = pytest.mark.django_db

ASSIGN = ["GET /tickets", "POST /tickets", "PUT /tickets/T1", "GET /tickets/T1"]


def operations():
    return [
        (row.operation, row.status, row.last_failure)
        for row in OutgoingOperation.objects.order_by("change_id", "sequence")
    ]


def due_now():
    OutgoingOperation.objects.filter(status="Waiting").update(next_try_at=timezone.now())


def test_a_change_becomes_a_ticket(mapped, desk, give_change, alice):
    change = give_change(title="Replace core switch")
    Comment(change=change, author=alice, body="Mind the cables").save()
    delivery.drain()
    assert operations() == [("Assign", "Delivered", ""), ("Update", "Delivered", "")]
    assert desk.calls == [*ASSIGN, "POST /tickets/T1/comments", "GET /tickets/T1"]
    ticket = desk.tickets["T1"]
    assert (ticket.number, ticket.status, ticket.values) == (
        change.number,
        "open",
        {"subject": "Replace core switch", "priority": 3},
    )
    assert ticket.comments == ["Mind the cables"]
    reference = ExternalReference.objects.get()
    assert (reference.external_id, reference.external_status) == ("T1", "open")


def test_each_call_is_in_the_log_without_secrets(mapped, desk, give_change):
    give_change()
    delivery.drain()
    attempts = list(DeliveryAttempt.objects.order_by("id"))
    assert [(row.revision, row.step, row.http_status) for row in attempts] == [
        (1, "find", 200),
        (1, "create", 201),
        (1, "status", 200),
        (1, "read", 200),
    ]
    assert all(call.headers["authorization"] == f"token {SECRET}" for call in desk.received)
    assert not any(
        {"content-type", "content-length"} & {*call.headers} for call in desk.received if call.method == "GET"
    )
    sent = f'POST {desk.url}/tickets\nContent-Type: application/json\nAuthorization: •••\n\n{{"number":'
    assert attempts[1].request.startswith(sent)
    assert not any(SECRET in row.request + row.answer for row in attempts)


@pytest.mark.parametrize("failing", range(4))
def test_a_retry_goes_on_behind_the_steps_that_succeeded(mapped, desk, give_change, failing):
    """Only searches and reads are made again."""
    desk.faults[ASSIGN[failing]] = [503]
    give_change()
    delivery.drain()
    assert operations() == [("Assign", "Waiting", "status")]
    assert desk.calls == ASSIGN[: failing + 1]
    desk.received.clear()
    due_now()
    delivery.drain()
    assert operations() == [("Assign", "Delivered", "")]
    assert desk.calls == (ASSIGN if failing < 2 else ASSIGN[failing:])
    assert len(desk.tickets) == 1


def test_a_lost_answer_makes_no_second_ticket(mapped, desk, give_change):
    desk.faults["POST /tickets"] = ["lost"]
    give_change()
    delivery.drain()
    assert operations() == [("Assign", "Waiting", "connection_broken")]
    due_now()
    delivery.drain()
    assert operations() == [("Assign", "Delivered", "")]
    assert [*desk.tickets] == ["T1"]


@pytest.mark.parametrize(
    ("call", "fault", "outcome", "failure", "error"),
    [
        ("POST /tickets", 408, "Waiting", "status", ""),
        ("POST /tickets", 500, "Waiting", "status", ""),
        ("POST /tickets", 401, "Paused", "status", ""),
        ("POST /tickets", 410, "Paused", "status", ""),
        ("POST /tickets", 403, "Refused", "rule", "the partner answered 403, not 201"),
        ("POST /tickets", 422, "Refused", "rule", 'the partner answered 422, not 201: {"message": "as scripted: 422"}'),
        ("POST /tickets", (200, {"id": "T9"}), "Refused", "rule", "the partner answered 200, not 201"),
        ("POST /tickets", (201, {}), "Refused", "rule", "id"),
        ("GET /tickets/T1", (200, {"status": "closed"}), "Refused", "rule", "refuse_if is true"),
    ],
)
def test_what_an_answer_means(mapped, desk, give_change, call, fault, outcome, failure, error):
    desk.faults[call] = [fault]
    give_change()
    delivery.drain()
    mapped.refresh_from_db()
    operation = OutgoingOperation.objects.get()
    assert ("Paused" if mapped.paused_at else operation.status, operation.last_failure) == (outcome, failure)
    assert error in operation.last_error
    if outcome != "Waiting":
        assert operation.tries == (0 if outcome == "Paused" else 1)


def test_an_operation_that_the_document_does_not_name_is_delivered_without_a_call(mapped, desk, give_change, alice):
    change = give_change()
    delivery.drain()
    desk.received.clear()
    change.owning_group = None
    change.save()
    delivery.drain()
    assert operations()[-1] == ("Accept", "Delivered", "")
    assert desk.received == []
    assert "no steps for Accept" in DeliveryAttempt.objects.order_by("id").last().request


def test_an_operation_without_steps_is_not_said_to_be_taken(acme, desk, ingrid):
    document = document_of(desk).replace("  Cancel: [*status, *read]\n", "")
    connect(acme, document, API_KEY=SECRET)
    said = text(web(ingrid).get("/exchange/systems/ACME/connection/"))
    assert "The active document has no steps for Accept, Cancel: ACME does not hear of it." in said
    answer = post_form(web(ingrid), "/exchange/status/ACME/test/", having="group")
    delivery.drain()
    said = text(web(ingrid).get(answer["Location"]))
    assert "No call was made for the Cancel: the document has no steps for it." in said
    assert "ACME has taken the Assign." in said and "It works" not in said


def test_a_step_that_ends_after_its_lease_is_remembered(mapped, desk, give_change, monkeypatch):
    """Another worker may have it by then, and must not do it again."""
    give_change()
    written = outbox.settle

    def late(results, wait=True):
        if any(result.attempt.step == "create" and result.outcome is None for result in results):
            OutgoingOperation.objects.filter(status="Sending").update(status="Waiting", claimed_until=None)
            monkeypatch.setattr(outbox, "settle", written)
        return written(results, wait)

    monkeypatch.setattr(outbox, "settle", late)
    delivery.drain()
    assert operations() == [("Assign", "Delivered", "")]
    assert (len(desk.tickets), len(desk.of("POST /tickets"))) == (1, 1)
    assert OutgoingOperation.objects.get().done_steps["create"]["result"] == {"external_id": "T1"}


def test_a_person_may_begin_at_the_first_step_again(mapped, desk, give_change, ingrid):
    """After the document was altered, what a step remembered may fit no more."""
    give_change()
    desk.faults["PUT /tickets/T1"] = [422]
    delivery.drain()
    operation = OutgoingOperation.objects.get()
    page = f"/exchange/{operation.pk}/"
    assert "These steps have succeeded, and a retry goes on behind them: create." in text(web(ingrid).get(page))
    web(ingrid).post(f"{page}retry/", {"forgets_steps": "1"})
    desk.received.clear()
    delivery.drain()
    # The reference knows the ticket, so none is searched for and none is made.
    assert desk.calls == ["PUT /tickets/T1", "GET /tickets/T1"]
    assert OutgoingOperation.objects.get().done_steps.keys() == {"status"}


@pytest.mark.parametrize("fault", ["a secret is missing", "its key is missing", "the document has faults"])
def test_what_no_operation_can_get_past_pauses_the_system(mapped, desk, give_change, fault):
    """None is refused, so nobody has to retry each of them once it is mended."""
    if fault == "a secret is missing":
        ConnectionSecret.objects.all().delete()
    elif fault == "its key is missing":
        with connection.cursor() as cursor:
            cursor.execute("UPDATE integrations_connectionsecret SET value = 'gAAAAnothing'")
    else:  # as an update of this program may find
        ConnectionRevision.objects.update(document="base_url: nowhere")
        revisions.connection_of_revision.cache_clear()
    for _ in range(3):
        give_change()
    delivery.drain()
    mapped.refresh_from_db()
    assert mapped.paused_at and mapped.pause_status is None and desk.received == []
    assert {(status, tries) for status, tries in OutgoingOperation.objects.values_list("status", "tries")} == {
        ("Waiting", 0)
    }
    assert told()[-1] == "The system ACME was paused, because its connection cannot be used."
    assert "cannot be used" in flow_of(mapped, timezone.now()).detail
    if fault == "the document has faults":
        revisions.activate(mapped, document_of(desk), None, "mended")
    else:
        secrets.write(mapped, {"API_KEY": SECRET + "1"})
    delivery.drain()
    assert {status for _, status, _ in operations()} == {"Delivered"}


@pytest.mark.parametrize("spelling", range(4))
def test_no_spelling_of_a_secret_stays_in_an_answer(acme, desk, give_change, spelling):
    secret = 'p"ss/wörd&more'
    spelled = [
        secret,
        quote(secret, safe=""),
        base64.b64encode(f"us:{secret}".encode()).decode(),
        "x" * 1995 + secret,  # where the log cuts it
    ][spelling]
    connect(acme, document_of(desk, '{kind: basic, username: us, password: "{{ secret.API_KEY }}"}'), API_KEY=secret)
    desk.faults["POST /tickets"] = [(422, {"seen": spelled})]
    give_change()
    delivery.drain()
    attempt = DeliveryAttempt.objects.get(step="create")
    kept = attempt.answer + attempt.request + attempt.error + OutgoingOperation.objects.get().last_error
    assert "•••" in kept
    assert not any(part in kept for part in (secret, 'p\\"ss', quote(secret, safe=""), 'p"s', spelled[-24:]))


class TestTokens:
    OAUTH = '{{kind: oauth2, token_url: "{url}/oauth/token", client_id: us, client_secret: "{{{{ secret.API_KEY }}}}"}}'
    LOGIN = (
        '{kind: login, request: {post: /login, json: {user: us, password: "{{ secret.API_KEY }}"}}, '
        'token: "{{ body.session_token }}", send: {header: Authorization}}'
    )

    @pytest.fixture(params=["oauth2", "login"])
    def signed_in(self, request, mapped, desk):
        auth = self.OAUTH.format(url=desk.url) if request.param == "oauth2" else self.LOGIN
        desk.needs_token = True
        return connect(mapped, document_of(desk, auth))

    def token_calls(self, desk):
        return len(desk.of("POST /oauth/token")) + len(desk.of("POST /login"))

    def test_one_token_serves_all(self, signed_in, desk, give_change):
        for _ in range(20):
            give_change()
        delivery.drain()
        assert {status for _, status, _ in operations()} == {"Delivered"}
        assert self.token_calls(desk) == 1

    def test_a_refused_one_is_renewed_once_however_many_wait(self, signed_in, desk, give_change):
        give_change()
        delivery.drain()
        desk.tokens = []  # revoked
        for _ in range(20):
            give_change()
        delivery.drain()
        assert {status for _, status, _ in operations()} == {"Delivered"}
        assert self.token_calls(desk) == 2

    @pytest.mark.parametrize("signed_in", ["oauth2"], indirect=True)
    def test_one_that_has_run_out_is_not_used(self, signed_in, desk, give_change):
        desk.token_life = 1
        give_change()
        delivery.drain()
        desk.received.clear()
        give_change()
        delivery.drain()
        assert desk.calls[0] == "POST /oauth/token"
        assert {status for _, status, _ in operations()} == {"Delivered"}

    def test_credentials_that_are_refused_pause_the_system_until_they_are_written_anew(
        self, signed_in, desk, give_change
    ):
        desk.faults = {"POST /oauth/token": [401] * 9, "POST /login": [401] * 9}
        for _ in range(3):
            give_change()
        delivery.drain()
        signed_in.refresh_from_db()
        assert signed_in.pause_status == 401
        assert {(status, failure) for _, status, failure in operations()} == {("Waiting", "sign_in")}
        desk.faults = {}
        secrets.write(signed_in, {"API_KEY": "the right one"})
        delivery.drain()
        assert {status for _, status, _ in operations()} == {"Delivered"}

    def test_an_answer_without_a_token_is_tried_again(self, signed_in, desk, give_change):
        page = (200, b"<html>We are back at noon. live-token-9</html>")
        desk.faults = {"POST /oauth/token": [page], "POST /login": [page]}
        give_change()
        delivery.drain()
        assert operations() == [("Assign", "Waiting", "sign_in")]
        assert "live-token-9" not in DeliveryAttempt.objects.get().answer
        due_now()
        delivery.drain()
        assert operations() == [("Assign", "Delivered", "")]

    def test_the_token_of_one_desk_goes_to_no_other(self, signed_in, desk, give_change):
        give_change()
        delivery.drain()
        other = TicketDesk()
        other.needs_token = True
        auth = self.OAUTH.format(url=other.url) if "oauth2" in signed_in.connection.document else self.LOGIN
        draft = document_of(other, auth)
        message = trying.test_message(signed_in, None, signed_in.authorized_user, timezone.now())
        assert trying.run(connection_of(draft), signed_in, message).failed is None
        assert other.received[0].path in ("/oauth/token", "/login")
        other.given, other.tokens, other.received = 40, [], []
        give_change()
        delivery.drain()
        assert self.token_calls(desk) == 1  # the test left the token of the active document alone
        revisions.activate(signed_in, draft, None, "moved")
        give_change()
        delivery.drain()
        assert other.received[0].path in ("/oauth/token", "/login")
        assert {status for _, status, _ in operations()} == {"Delivered"}
        other.close()

    def test_a_database_that_fails_while_a_token_is_kept_holds_up_nobody(
        self, signed_in, desk, give_change, monkeypatch, settings
    ):
        settings.DELIVERY_TIMEOUT = 1
        keep = partner_tokens.keep

        def broken(*args):
            monkeypatch.setattr(partner_tokens, "keep", keep)
            raise OperationalError("the connection is lost")

        monkeypatch.setattr(partner_tokens, "keep", broken)
        for _ in range(3):
            give_change()
        with pytest.raises(OperationalError):  # inside the transaction of the test it cannot be borne
            delivery.drain()
        OutgoingOperation.objects.filter(status="Sending").update(status="Waiting", claimed_until=None)
        ConnectionToken.objects.update(renewing_until=None)
        delivery.drain()
        assert {status for _, status, _ in operations()} == {"Delivered"}

    def test_no_token_is_in_the_log_or_readable_in_the_database(self, signed_in, desk, give_change):
        give_change()
        delivery.drain()
        told = [row.request + row.answer + row.error for row in DeliveryAttempt.objects.all()]
        assert not any("token-1" in text or SECRET in text for text in told)
        with connection.cursor() as cursor:
            cursor.execute("SELECT value FROM integrations_connectiontoken")
            assert "token-1" not in cursor.fetchone()[0]
