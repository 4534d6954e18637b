"""A form that is sent twice acts once; a page that is gone back to and altered is another form."""

import pytest

from changes.choices import Phase
from changes.models import Change, Comment

from ..factories import change_in
from ..html_forms import read_form
from ..pages import text, web
from ..threads import at_once


def new_form(client, group=None, **typed):
    fields = read_form(client.get("/changes/new/"), "title")["fields"]
    return fields | {"title": "Twice"} | ({"owning_group": group.pk} if group else {}) | typed


def test_the_form_of_a_new_change_that_is_sent_twice_creates_one_and_leads_to_it(alice, acme):
    client = web(alice)
    data = new_form(client, acme.external_groups.get().group)
    first = client.post("/changes/new/", data)
    second = client.post("/changes/new/", data)
    change = Change.objects.get()
    assert first["Location"] == second["Location"] == f"/changes/{change.number}/"
    assert change.outgoing_operations.count() == 1
    assert f"{change.number} was created. The form came twice and counted once." in text(client.get(second["Location"]))


def test_a_new_form_or_the_same_one_with_something_else_in_it_creates_another(alice):
    client = web(alice)
    data = new_form(client)
    client.post("/changes/new/", data)
    client.post("/changes/new/", data | {"title": "Gone back and altered"})
    client.post("/changes/new/", new_form(client))
    assert [*Change.objects.order_by("pk").values_list("title", flat=True)] == [
        "Twice",
        "Gone back and altered",
        "Twice",
    ]


def test_what_was_refused_is_no_first_time(alice):
    client = web(alice)
    data = new_form(client, title="")
    assert [client.post("/changes/new/", data).status_code for _ in range(2)] == [200, 200]
    assert not Change.objects.exists()
    assert client.post("/changes/new/", data | {"title": "Now with a title"}).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_sent_twice_at_the_same_moment_it_creates_one_too(alice):
    client = web(alice)
    data = new_form(client)

    def send():
        other = web()
        other.cookies = client.cookies
        return other.post("/changes/new/", data)

    answers = at_once(send, send)
    change = Change.objects.get()
    assert {answer["Location"] for answer in answers} == {f"/changes/{change.number}/"}


def test_the_form_of_a_comment_that_is_sent_twice_adds_one_and_leads_to_it(alice, acme):
    change = change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    client = web(alice)
    form = read_form(client.get(f"/changes/{change.number}/"), "body")
    data = form["fields"] | {"body": "Parts ordered"}
    first, second = (client.post(form["attrs"]["action"], data) for _ in range(2))
    comment = Comment.objects.get()
    assert first["Location"] == second["Location"] == f"/changes/{change.number}/#comment-{comment.pk}"
    assert change.outgoing_operations.filter(operation="Update").count() == 1
    client.post(form["attrs"]["action"], data | {"body": "Parts have come"})
    assert Comment.objects.count() == 2
