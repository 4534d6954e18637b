"""Public content is sent only to partners that the page named. If another was linked meanwhile, the page asks again."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import Phase
from changes.models import Attachment, Change, Comment
from integrations.models import ExternalReference, OutgoingOperation
from tests.factories import change_in
from tests.html_forms import read_form
from tests.pages import asked_for, text, web

HTMX = {"HX-Request": "true"}


@pytest.fixture
def internal(alice):
    return change_in(Phase.PLAN, requested_by=alice)


def page_of(client, change):
    return client.get(f"/changes/{change.number}/")


def give_to(change, partner):
    change = Change.objects.get(pk=change.pk)
    change.owning_group = partner.external_groups.get().group
    change.save()


def comment(client, page, visibility="public", **typed):
    form = read_form(page, "body")
    data = form["fields"] | {"body": "Only for us?", "visibility": visibility} | typed
    return client.post(form["attrs"]["action"], data)


def attach(client, page, *names, **headers):
    form = read_form(page, "file")
    files = [SimpleUploadedFile(name, b"x") for name in names]
    return client.post(form["attrs"]["action"], form["fields"] | {"file": files}, headers=headers)


def updates():
    rows = OutgoingOperation.objects.filter(operation="Update").order_by("pk")
    return [row.system.system_id for row in rows.select_related("system")]


# --- A comment ---


def test_a_public_comment_that_would_reach_a_partner_the_page_did_not_name_is_asked_about_first(alice, internal, acme):
    client = web(alice)
    page = page_of(client, internal)
    assert "no partner is linked to this change now, so nothing is sent" in text(page)
    give_to(internal, acme)
    asked = comment(client, page)
    assert asked.status_code == 409
    assert not Comment.objects.exists()
    assert updates() == []
    said = text(asked)
    assert "Your comment was not added. It would now be sent to ACME, which" in said
    assert "Public is sent to ACME" in said
    assert read_form(asked, "body")["fields"]["body"] == ["Only for us?"]

    form = read_form(asked, "body")
    assert client.post(form["attrs"]["action"], form["fields"]).status_code == 302
    assert Comment.objects.get().body == "Only for us?"
    assert updates() == ["ACME"]


def test_one_more_partner_is_asked_about_and_named_alone(alice, internal, acme, beta):
    give_to(internal, acme)
    client = web(alice)
    page = page_of(client, internal)
    ExternalReference.objects.create(change=internal, system=beta, external_id="B-1")
    asked = comment(client, page)
    assert asked.status_code == 409
    assert "It would now be sent to BETA too" in text(asked)
    assert "Public is sent to ACME and BETA" in text(asked)
    assert not Comment.objects.exists()


def test_a_private_comment_is_added_whoever_is_linked_meanwhile(alice, internal, acme):
    client = web(alice)
    page = page_of(client, internal)
    give_to(internal, acme)
    assert comment(client, page, "private").status_code == 302
    assert Comment.objects.get().is_private
    assert updates() == []


def test_nobody_is_asked_when_fewer_partners_get_it_than_the_page_said(alice, internal, acme, beta):
    give_to(internal, acme)
    client = web(alice)
    reference = ExternalReference.objects.create(change=internal, system=beta, external_id="B-1")
    page = page_of(client, internal)
    reference.delete()
    assert comment(client, page).status_code == 302
    assert updates() == ["ACME"]


def test_what_was_sent_without_a_page_is_not_asked_about(alice, internal, acme):
    give_to(internal, acme)
    data = {"body": "From a script", "visibility": "public"}
    assert web(alice).post(f"/changes/{internal.number}/comments/", data).status_code == 302
    assert updates() == ["ACME"]


# --- A file ---


def test_files_that_would_reach_a_partner_the_page_did_not_name_are_asked_about_first(alice, internal, acme):
    client = web(alice)
    page = page_of(client, internal)
    give_to(internal, acme)
    asked = attach(client, page, "a.txt", "b.txt")
    assert asked.status_code == 409
    assert not Attachment.objects.exists()
    assert updates() == []
    assert "a.txt was not attached. It would now be sent to ACME" in text(asked)

    assert attach(client, asked, "a.txt", "b.txt").status_code == 302
    assert updates() == ["ACME", "ACME"]


def test_the_script_that_sends_files_is_told_the_same(alice, internal, acme):
    client = web(alice)
    page = page_of(client, internal)
    give_to(internal, acme)
    asked = attach(client, page, "a.txt", **HTMX)
    assert asked.status_code == 409
    assert "It would now be sent to ACME" in asked.json()["error"]
    assert not Attachment.objects.exists()


# --- The open page ---

PARTS = ("comment-reaches", "comment-sends", "comment-recipients", "file-sends", "file-recipients")


def swapped(content, part):
    """The part with this id in the answer, with which htmx replaces that of the page."""
    start = content.index(f'id="{part}"')
    tag = content[content.rindex("<", 0, start) :].partition(">")[0]
    assert "hx-swap-oob" in tag, tag
    return content[start:]


def test_the_exchange_that_renews_itself_renews_what_the_forms_say_of_recipients_and_no_form(alice, internal, acme):
    client = web(alice)
    before = page_of(client, internal).content.decode()
    give_to(internal, acme)
    content = client.get(f"/changes/{internal.number}/", headers=asked_for(Target="news")).content.decode()
    for part in PARTS:
        assert f'id="{part}"' in before, part
        assert "ACME" in swapped(content, part)[:900], part
    assert "textarea" not in content and 'type="file"' not in content and 'type="radio"' not in content


def test_the_head_that_renews_itself_renews_what_the_forms_say_of_recipients_and_no_form(alice, internal, acme):
    client = web(alice)
    seen = page_of(client, internal).content.decode().partition('id="news" data-version="')[2].partition('"')[0]
    give_to(internal, acme)
    headers = HTMX | {"HX-Target": "news", "X-Version": seen}
    content = client.get(f"/changes/{internal.number}/", headers=headers).content.decode()
    for part in PARTS:
        assert "ACME" in swapped(content, part)[:900], part
    assert "textarea" not in content and 'type="file"' not in content and 'type="radio"' not in content


def test_a_reader_without_forms_gets_none_of_their_parts(audrey, internal, acme):
    give_to(internal, acme)
    content = web(audrey).get(f"/changes/{internal.number}/", headers=asked_for(Target="news")).content.decode()
    assert not [part for part in PARTS if f'id="{part}"' in content]
