"""The filters that a person keeps under a name."""

import pytest

from changes.models import SavedFilter
from tests.factories import ChangeFactory
from tests.html_forms import post_form
from tests.pages import text, web

SAVE = "/changes/filters/"


def kept(user) -> dict[str, str]:
    return dict(SavedFilter.objects.filter(user=user).values_list("name", "query"))


def save(client, name, query, **more):
    return client.post(SAVE, {"name": name, "query": query, **more})


def test_the_filters_of_the_address_are_kept_and_offered(alice):
    client = web(alice)
    assert "Save these filters" in text(client.get("/changes/?open=true"))
    response = save(client, "Mine", "open=true&phase=&group=mine&after=3.3&page=2&sort=-updated&x=1")
    assert response["Location"] == "/changes/?group=mine&open=true&sort=-updated"
    assert kept(alice) == {"Mine": "group=mine&open=true&sort=-updated"}
    page = client.get("/changes/?sort=-updated&open=true&group=mine&after=9.9")
    assert "The filter Mine was saved." in text(page)
    assert 'href="/changes/?group=mine&amp;open=true&amp;sort=-updated" aria-current="true">Mine</a>' in (
        page.content.decode()
    )
    assert "Delete the filter Mine" in text(page)
    assert "Delete the filter Mine" not in text(client.get("/changes/"))


@pytest.mark.any_database
def test_there_is_nothing_to_save_without_a_filter_or_with_a_wrong_one(alice):
    ChangeFactory()
    client = web(alice)
    for query in ("", "?sort=-number", "?page=3", "?phase=Nowhere", "?sort=title"):
        assert "Save these filters" not in text(client.get(f"/changes/{query}"))


def test_the_same_name_is_asked_about_before_it_is_replaced(alice):
    client = web(alice)
    save(client, "Mine", "open=true")
    asked = save(client, "Mine", "phase=Plan")
    assert asked.status_code == 409
    assert "You have a filter Mine already" in text(asked)
    assert kept(alice) == {"Mine": "open=true"}
    response = post_form(client, SAVE, having="replace", page=asked)
    assert response["Location"] == "/changes/?phase=Plan"
    assert kept(alice) == {"Mine": "phase=Plan"}
    # Saving the same filters again needs no confirmation.
    assert save(client, "Mine", "phase=Plan").status_code == 302


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("name", "message"),
    [("", "Give the filter a name."), ("  ", "Give the filter a name."), ("x" * 61, "at most 60"), ("a\x00b", "Null")],
)
def test_a_name_that_cannot_be_is_refused_and_nothing_kept(alice, name, message):
    response = save(web(alice), name, "open=true")
    assert response.status_code == 400
    assert message in text(response)
    assert kept(alice) == {}


def test_more_than_can_be_kept_is_refused(alice):
    response = save(web(alice), "Long", "q=" + "x" * 2000)
    assert response.status_code == 400
    assert kept(alice) == {}


def test_a_filter_is_its_persons_alone(alice, carol):
    save(web(alice), "Mine", "open=true")
    save(web(carol), "Mine", "phase=Plan")
    assert (kept(alice), kept(carol)) == ({"Mine": "open=true"}, {"Mine": "phase=Plan"})
    others = SavedFilter.objects.get(user=carol)
    assert web(alice).post(f"{SAVE}{others.pk}/delete/").status_code == 404
    assert kept(carol) == {"Mine": "phase=Plan"}


def test_a_filter_is_deleted_and_the_list_stays_as_it_is(alice):
    client = web(alice)
    save(client, "Mine", "open=true")
    response = client.post(f"{SAVE}{SavedFilter.objects.get().pk}/delete/")
    assert response["Location"] == "/changes/?open=true"
    assert kept(alice) == {}


@pytest.mark.any_database
def test_opening_the_addresses_leads_to_the_list(alice):
    for path in (SAVE, f"{SAVE}1/delete/"):
        assert web(alice).get(path)["Location"] == "/changes/"


@pytest.mark.any_database
def test_a_saved_filter_is_never_markup(alice):
    client = web(alice)
    save(client, "<b>x</b>", "q=<script>")
    content = client.get("/changes/?q=<script>").content.decode()
    assert "<b>x" not in content
    assert "<script>" not in content
