"""The form shows before saving which operations the save would send, with and without scripts."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.choices import Phase
from changes.models import Change
from integrations.models import Exchange, ExternalReference, OutgoingOperation
from tests.factories import SupportGroupFactory, change_in
from tests.pages import asked_for, posted, text, version_in, web

HTMX = {"HX-Request": "true"}


@pytest.fixture
def given(alice, acme):
    """A change that ACME holds."""
    return change_in(Phase.PLAN, owning_group=acme.external_groups.get().group, requested_by=alice)


def foretold(client, change, **typed):
    """The forecast that htmx gets while the form contains `typed`."""
    response = client.post(f"/changes/{change.number}/edit/preview/", posted(change, **typed), headers=HTMX)
    assert response.status_code == 200
    return text_of_part(response)


def text_of_part(response):
    response.content = b"<main" + response.content
    return text(response)


def test_a_reassignment_is_foretold_with_its_order_its_fields_and_when_it_goes(alice, given, acme, beta):
    beta.enabled = False
    beta.save()
    before = OutgoingOperation.objects.count()
    group = beta.external_groups.get().group
    said = foretold(web(alice), given, owning_group=str(group.pk), title="Another title")
    assert "Saving this will send 2 operations Accept to ACME" in said
    assert "Assign to BETA Would wait BETA is given the change. BETA is disabled" in said
    assert said.index("Accept to ACME") < said.index("Assign to BETA")
    assert "2 fields named as changed" in said
    assert "Owning group ACME Networks → BETA Servers" in said
    assert "Stays here: private comments, approvals and the history." in said
    assert OutgoingOperation.objects.count() == before
    assert Change.objects.get().title == given.title


def test_other_fields_send_nothing_and_the_form_says_so(alice, given):
    said = foretold(web(alice), given, title="Another title")
    assert "Saving this will send nothing" in said
    assert "These fields are not sent to ACME now. It gets their values with the next operation." in said


def test_an_untouched_form_sends_nothing(alice, given):
    assert "Nothing is changed, so nothing would be sent" in foretold(web(alice), given)


def test_clearing_withdrawn_says_that_the_partner_still_holds_it_for_cancelled(alice, given):
    given.completion_code = "Withdrawn"
    given.save()
    said = foretold(web(alice), given, completion_code="")
    assert "Saving this will send nothing" in said
    assert "Clearing Withdrawn sends nothing, so ACME still treats the change as cancelled." in said


def test_a_partner_that_rejected_it_hears_nothing_and_the_form_says_why(alice, given, acme):
    exchange = Exchange.objects.get(change=given, system=acme)
    exchange.state = exchange.state.after_reject()
    exchange.save()
    said = foretold(web(alice), given, owning_group=str(SupportGroupFactory(name="Network").pk))
    assert "Saving this will send nothing" in said
    assert "ACME rejected this change" in said


def test_what_is_foretold_behind_a_refused_operation_waits_for_a_person(alice, given):
    OutgoingOperation.objects.update(status="Refused", last_error="Refused with 422")
    said = foretold(web(alice), given, completion_code="Withdrawn")
    assert "Cancel to ACME Would wait" in said
    assert "It would wait behind Assign 1, which was refused: a person must retry or skip that first." in said


def test_a_new_change_is_foretold_too(alice, acme):
    group = acme.external_groups.get().group
    data = {"change_type": "Normal", "business_impact": "SingleUser", "urgency": "SlightDisruption"}
    data |= {"title": "New", "owning_group": group.pk}
    said = text_of_part(web(alice).post("/changes/new/preview/", data, headers=HTMX))
    assert "Saving this will send 1 operation Assign to ACME Goes at once ACME is given the change." in said
    assert not Change.objects.exists()


def test_the_same_is_not_sent_twice_so_nobody_hears_it_again(alice, given):
    client, address = web(alice), f"/changes/{given.number}/edit/preview/"
    data = posted(given, title="Another title")
    version = version_in(client.post(address, data, headers=HTMX))
    again = client.post(address, data | {"title": "A third title"}, headers=asked_for(version))
    assert (again.status_code, again.content) == (204, b"")


def test_without_a_script_a_button_shows_it_above_the_form_with_everything_that_was_typed(alice, given, beta):
    group = beta.external_groups.get().group
    client, address = web(alice), f"/changes/{given.number}/edit/preview/"
    assert f'formaction="{address}"' in client.get(f"/changes/{given.number}/edit/").content.decode()
    data = posted(given, owning_group=str(group.pk), description="Typed\r\ntext", service="Typed service")
    response = client.post(address, data)
    assert response.status_code == 200
    content = response.content.decode()
    assert content.index("Saving this will send 2 operations") < content.index('id="id_title"')
    assert 'value="Typed service"' in content
    assert "Typed\r\ntext</textarea>" in content or "Typed\ntext</textarea>" in content
    assert f'<option value="{group.pk}" selected>' in content
    assert Change.objects.get().service == given.service
    assert client.get(address).status_code == 302


def test_a_value_that_cannot_be_saved_is_said_and_left_out(alice, given):
    said = foretold(web(alice), given, title="x" * 201, completion_code="Withdrawn")
    assert "1 field has an error and is left out here." in said
    assert "Cancel to ACME" in said


def test_a_page_out_of_date_is_told_that_both_versions_will_be_shown(alice, given):
    client, data = web(alice), posted(given, completion_code="Withdrawn")
    given.title = "Changed meanwhile"
    given.save()
    response = client.post(f"/changes/{given.number}/edit/preview/", data, headers=HTMX)
    said = text_of_part(response)
    assert "Somebody saved this change while you were editing" in said
    assert "Cancel to ACME" in said


def test_who_may_not_edit_is_foretold_nothing(audrey, given):
    response = web(audrey).post(f"/changes/{given.number}/edit/preview/", posted(given), headers=HTMX)
    assert response.status_code == 403


def test_it_makes_as_many_queries_with_many_partners_as_with_one(alice, given, beta):
    client, counts = web(alice), []
    for partner in (None, beta):
        if partner:
            ExternalReference.objects.create(change=given, system=partner, external_id="B-1")
        data = posted(given, completion_code="Withdrawn")
        with CaptureQueriesContext(connection) as queries:
            client.post(f"/changes/{given.number}/edit/preview/", data, headers=HTMX)
        counts.append(len(queries))
        # Besides, who can be chosen is asked of the accounts.
        texts = [query["sql"] for query in queries if 'FROM "auth_user"' not in query["sql"]]
        assert len([text for text in texts if "integrations_" in text]) == 3
    assert counts[0] == counts[1]
