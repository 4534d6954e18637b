"""A form that is sent twice takes effect once. A form that was altered after going back counts as another form."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import Phase
from changes.models import Change, Comment
from tests.factories import change_in
from tests.html_forms import read_form
from tests.pages import text, web
from tests.threads import at_once


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
    said = text(client.get(second["Location"]))
    assert f"{change.number} was created. Submitted twice, saved once." in said


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


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "script"])
def test_the_form_of_a_file_that_is_sent_twice_attaches_it_once(alice, acme, headers):
    change = change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    client = web(alice)
    form = read_form(client.get(f"/changes/{change.number}/"), "file")

    def send(*files, **typed):
        chosen = [SimpleUploadedFile(name, content) for name, content in files]
        return client.post(form["attrs"]["action"], form["fields"] | typed | {"file": chosen}, headers=headers)

    answers = [send(("plan.txt", b"A")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == ([201, 200] if headers else [302, 302])
    assert change.attachments.count() == 1
    assert change.outgoing_operations.filter(operation="Update").count() == 1
    if not headers:
        assert "plan.txt was attached. Submitted twice, saved once." in text(client.get(answers[1]["Location"]))
        send(("plan.txt", b"A"), ("other.txt", b"A"))
    send(("plan.txt", b"B"))
    send(("b.txt", b"B"))
    form = read_form(client.get(f"/changes/{change.number}/"), "file")
    send(("plan.txt", b"A"))
    names = [*change.attachments.order_by("pk").values_list("file_name", flat=True)]
    assert names == ["plan.txt", *([] if headers else ["other.txt"]), "plan.txt", "b.txt", "plan.txt"]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_sent_twice_at_the_same_moment_is_attached_once_too(alice):
    change = change_in(Phase.PLAN, requested_by=alice)
    client = web(alice)
    form = read_form(client.get(f"/changes/{change.number}/"), "file")

    def send():
        other = web()
        other.cookies = client.cookies
        return other.post(form["attrs"]["action"], form["fields"] | {"file": SimpleUploadedFile("plan.txt", b"A")})

    assert [answer.status_code for answer in at_once(send, send)] == [302, 302]
    assert change.attachments.count() == 1


# --- Repeated clicks that the version detects, without a mark in the form ---


def twice(client, address, data):
    return [client.post(address, data) for _ in range(2)]


def test_an_edit_that_is_saved_twice_is_saved_once_and_no_conflict(alice):
    change = change_in(Phase.PLAN, requested_by=alice)
    client, address = web(alice), f"/changes/{change.number}/edit/"
    data = read_form(client.get(address), "title")["fields"] | {"title": "Twice", "urgency": "SevereDisruption"}
    answers = twice(client, address, data)
    assert [answer.get("Location") for answer in answers] == [f"/changes/{change.number}/"] * 2
    assert f"{change.number} was saved." in text(client.get(answers[1]["Location"]))
    version = change.version
    change.refresh_from_db()
    assert (change.title, change.version) == ("Twice", version + 1)


@pytest.mark.parametrize("who", ["alice", "carol"])
def test_an_edit_like_that_of_somebody_else_or_with_anything_else_in_it_is_a_conflict(alice, carol, who):
    change = change_in(Phase.PLAN, requested_by=alice)
    client, address = web(alice), f"/changes/{change.number}/edit/"
    data = read_form(client.get(address), "title")["fields"] | {"title": "Twice"}
    first = web({"alice": alice, "carol": carol}[who])
    first.post(address, data | ({"service": "LAN of Oslo"} if who == "alice" else {}))
    answer = client.post(address, data)
    assert answer.status_code == 409
    assert client.post(address, data | {"title": "Thrice"}).status_code == 409
    version = change.version
    change.refresh_from_db()
    assert (change.title, change.version) == ("Twice", version + 1)


def test_a_transition_that_is_made_twice_is_made_once_and_no_conflict(alice):
    change = change_in(Phase.LOG, requested_by=alice)
    client = web(alice)
    data = {"phase": "Evaluate", "version": change.version}
    answers = twice(client, f"/changes/{change.number}/transition/", data)
    assert [answer.status_code for answer in answers] == [302, 302]
    assert f"{change.number} is in Evaluate now." in text(client.get(answers[1]["Location"]))
    version = change.version
    change.refresh_from_db()
    assert (change.phase, change.version) == ("Evaluate", version + 1)


def test_a_transition_that_somebody_else_made_is_told_as_such(alice, carol):
    change = change_in(Phase.LOG, requested_by=alice)
    data = {"phase": "Evaluate", "version": change.version}
    web(carol).post(f"/changes/{change.number}/transition/", data)
    assert web(alice).post(f"/changes/{change.number}/transition/", data).status_code == 409


def test_a_change_that_is_abandoned_twice_for_the_same_reason_is_no_conflict(carol):
    change = change_in(Phase.PLAN, requested_by=carol)
    address = f"/changes/{change.number}/abandon/"
    data = {"version": change.version, "completion_code": "Withdrawn"}
    answers = twice(web(carol), address, data)
    assert [answer.status_code for answer in answers] == [302, 302]
    assert web(carol).post(address, data | {"completion_code": "Rejected"}).status_code == 409
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Abandon", "Withdrawn")


def test_a_decision_that_is_made_twice_counts_once_and_is_no_refusal(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    client, address = web(carol), f"/changes/{change.number}/approvals/"
    data = {"decision": "Denied", "comment": "No way\r\nback", "version": change.version}
    answers = twice(client, address, data)
    assert [answer.status_code for answer in answers] == [302, 302]
    assert f"You have denied the plan of {change.number}." in text(client.get(answers[1]["Location"]))
    assert client.post(address, data | {"decision": "Approved"}).status_code == 409
    assert change.approvals.get().decision == "Denied"
