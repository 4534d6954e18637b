"""A bulk job sends only to the partners in its preview, even if the changes were altered in between."""

import pytest

from changes.actor import acting
from changes.models import BulkJob, Change
from integrations.models import Exchange, ExternalReference
from tests.factories import ChangeFactory
from tests.pages import text, web

from .conftest import done, previewed, sent, statuses, work


def given_to(change, group, user):
    with acting(user):
        moved = Change.objects.get(pk=change.pk)
        moved.owning_group = group
        moved.save()


def referred_to(change, system):
    ExternalReference.objects.create(change=change, system=system, external_id="B-1")


def rejected(change):
    for exchange in Exchange.objects.filter(change=change):
        exchange.state = exchange.state.after_reject()
        exchange.save()


def carried_out(client, page):
    client.post(f"{page.job}start/")
    work()
    return text(client.get(page.job))


@pytest.fixture
def beta_group(beta):
    return beta.external_groups.get().group


def test_a_comment_is_not_sent_to_a_partner_who_came_after_the_preview(alice, carol, beta_group):
    change, other = ChangeFactory(), ChangeFactory()
    page = previewed(web(alice), "comment", [change, other], body="Hello", visibility="public")
    assert "Nothing is sent to partners." in text(page)
    given_to(change, beta_group, carol)
    said = carried_out(web(alice), page)
    assert "It would now be sent to BETA: look at it again." in said
    assert sorted(statuses()) == ["done", "failed"]
    assert sent(change) == ["Assign to BETA"]
    assert (change.comments.count(), other.comments.count()) == (0, 1)


def test_a_comment_that_fewer_partners_hear_of_is_added(alice, carol, beta_group):
    change = ChangeFactory(owning_group=beta_group)
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="public")
    given_to(change, None, carol)
    rejected(change)
    carried_out(web(alice), page)
    assert statuses() == ["done"]
    assert sent(change) == ["Assign to BETA", "Accept to BETA"]


def test_a_private_comment_is_added_whoever_came_since(alice, carol, beta_group):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="private")
    given_to(change, beta_group, carol)
    carried_out(web(alice), page)
    assert statuses() == ["done"]


def test_withdrawing_is_not_sent_to_a_partner_whose_reference_came_after_the_preview(carol, beta):
    change = ChangeFactory()
    page = previewed(web(carol), "abandon", [change], code="Withdrawn")
    assert "Nothing is sent to partners." in text(page)
    referred_to(change, beta)
    assert "It would now be sent to BETA: look at it again." in carried_out(web(carol), page)
    assert (statuses(), sent(change)) == (["failed"], [])
    assert Change.objects.get(pk=change.pk).phase == "Log"


def test_reassigning_is_not_sent_to_the_partner_that_the_group_was_given_to_since(carol, acme, beta_group):
    change, group = ChangeFactory(), acme.external_groups.get().group
    acme.external_groups.all().delete()
    page = previewed(web(carol), "reassign", [change], group=group.pk)
    acme.external_groups.create(group=group)
    assert "It would now be sent to ACME: look at it again." in carried_out(web(carol), page)
    assert (statuses(), sent(change)) == (["failed"], [])
    assert Change.objects.get(pk=change.pk).owning_group == change.owning_group


def test_the_open_preview_shown_again_does_not_promise_what_would_be_refused(alice, carol, beta_group):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="public")
    given_to(change, beta_group, carol)
    again = web(alice).get(page.job)
    assert "It would now be sent to BETA: look at it again." in text(again)
    assert "/start/" not in again.content.decode()


# --- Looking at it again ---


def looked_at_again(client, page):
    response = client.post(f"{page.job}again/")
    assert response.status_code == 302
    fresh = client.get(response["Location"])
    fresh.job = response["Location"]
    return fresh


def test_looking_again_shows_the_changes_as_they_are_now_and_can_then_be_started(alice, carol, beta_group):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="public")
    given_to(change, beta_group, carol)
    fresh = looked_at_again(web(alice), page)
    assert "BETA 1 Update" in text(fresh)
    carried_out(web(alice), fresh)
    assert sent(change) == ["Assign to BETA", "Update to BETA"]
    assert change.comments.get().body == "Hello"
    assert [job.is_draft for job in BulkJob.objects.all()] == [False]


def test_the_preview_says_who_changed_what_since_it_was_chosen_and_offers_to_look_again(alice, carol, beta_group):
    change, other = ChangeFactory(), ChangeFactory()
    page = previewed(web(alice), "reassign", [change, other], group=beta_group.pk)
    assert "/again/" not in page.content.decode()
    with acting(carol):
        moved = Change.objects.get(pk=change.pk)
        moved.title = "Carol's title"
        moved.save()
    again = web(alice).get(page.job)
    assert "It was changed by carol since it was chosen (Title)." in text(again)
    assert "/again/" in again.content.decode()
    fresh = looked_at_again(web(alice), page)
    assert "BETA 2 Assign" in text(fresh)
    assert web(alice).get(page.job).status_code == 404


def test_a_started_job_and_that_of_somebody_else_are_not_chosen_again(alice, carol, beta_group):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="private")
    assert web(carol).post(f"{page.job}again/").status_code == 404
    web(alice).post(f"{page.job}start/")
    assert web(alice).post(f"{page.job}again/")["Location"] == page.job
    assert BulkJob.objects.count() == 1


def test_a_job_does_what_it_said_to_the_partners_that_it_named(alice, beta_group):
    change = ChangeFactory(owning_group=beta_group)
    done(web(alice), "comment", [change], body="Hello", visibility="public")
    assert sent(change) == ["Assign to BETA", "Update to BETA"]
