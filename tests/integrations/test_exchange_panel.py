"""The exchange panel of an open change page, which is renewed with the page's news."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.choices import Phase
from changes.models import Change
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import change_in
from tests.pages import asked_for, web


@pytest.fixture
def given(alice, acme):
    return change_in(Phase.PLAN, owning_group=acme.external_groups.get().group, requested_by=alice)


def seen_on(response):
    return response.content.decode().partition('id="news" data-version="')[2].partition('"')[0]


def ask(client, change, seen=""):
    return client.get(f"/changes/{change.number}/", headers=asked_for(seen, Target="news"))


def test_while_nothing_happens_nothing_is_sent(alice, given, still):
    client = web(alice)
    seen = seen_on(client.get(f"/changes/{given.number}/"))
    response = ask(client, given, seen)
    assert (response.status_code, response.content) == (204, b"")


def test_what_happened_is_shown_and_said_once(alice, given, still):
    client = web(alice)
    seen = seen_on(client.get(f"/changes/{given.number}/"))
    OutgoingOperation.objects.update(status="Delivered", settled_at=timezone.now(), is_next=False)
    response = ask(client, given, seen)
    content = response.content.decode()
    assert "Nothing is on its way to ACME." in content
    assert "Last told ACME" in content
    assert "ACME: Holds it." in content.partition('id="exchange-news"')[2]
    assert ask(client, given, seen_on(response)).status_code == 204


def test_a_partners_word_is_shown_but_a_retry_that_counts_on_is_not_said_aloud(alice, acme, given, still):
    client = web(alice)
    later = timezone.now() + timedelta(hours=1)
    OutgoingOperation.objects.update(tries=1, last_error="Connection refused", next_try_at=later)
    seen = seen_on(client.get(f"/changes/{given.number}/"))
    OutgoingOperation.objects.update(tries=2, last_error="Connection refused again")
    content = ask(client, given, seen).content.decode()
    assert "after 2 failed tries. Connection refused again." in content
    assert 'id="exchange-news"' not in content
    ExternalReference.objects.create(change=given, system=acme, external_id="A-1", external_status="In progress")
    response = ask(client, given, seen)
    assert "In progress" in response.content.decode()
    assert 'id="assignment"' in response.content.decode()
    assert 'id="exchange-news"' not in response.content.decode()


def test_the_partners_last_public_comment_is_quoted_and_a_private_or_broken_one_is_not(alice, acme, given):
    def came(comments, status="Applied"):
        IncomingOperation(
            system=acme,
            user=acme.authorized_user,
            operation="Update",
            status=status,
            payload={"comments": comments},
            body_sha256="0" * 64,
            http_status=200,
            change=given,
            error="" if status == "Applied" else "No such phase",
        ).save()
        return ask(web(alice), given).content.decode()

    assert "“We start at ten.”" in came([{"body": "First", "author": "x"}, {"body": "We start at ten."}])
    assert "Secret" not in came([{"body": "Secret", "visibility": "private"}])
    assert "ACME last said" in came("nonsense")
    assert "Update of ACME failed here" in came([], "Failed")


def test_retry_and_skip_in_it_lead_back_to_the_change(ingrid, given):
    OutgoingOperation.objects.update(status="Refused", last_error="Refused with 422")
    content = ask(web(ingrid), given).content.decode()
    assert f'name="next" value="/changes/{given.number}/"' in content
    assert f'/skip/?next=%2Fchanges%2F{given.number}%2F"' in content


def test_its_queries_are_as_many_whatever_the_number_of_partners(alice, given, beta):
    def queries_of_exchange():
        with CaptureQueriesContext(connection) as queries:
            assert 'id="exchange"' in ask(client, given).content.decode()
        return len([query for query in queries if "integrations_" in query["sql"]])

    client = web(alice)
    with_one = queries_of_exchange()
    change = Change.objects.get()
    change.owning_group = beta.external_groups.get().group
    change.save()
    assert queries_of_exchange() == with_one
