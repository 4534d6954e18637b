"""Plain text stays plain text: comments of partners, and paths and names in staff's Markdown."""

import pytest
import yaml
from django.core.management import call_command

from changes.models import Comment
from changes.pages.conversation.markdown import render
from integrations.models import ExternalSystem
from integrations.setup.configuration import dump
from tests.factories import ChangeFactory, UserFactory
from tests.html_forms import post_form
from tests.pages import text, web

pytestmark = pytest.mark.django_db
PLAIN = [
    r"\\fileserver\install$",
    "C:\\!temp\\_old\\",
    r"C:\[backup]\*.log",
    "__init__.py and _private_ and snake_case_name",
    "*bold* **bolder** `code`",
    "# 1. step\n## two\n- 3\n> quoted",
    "#12 kernel: eth0 # up\n# tail -f /var/log/messages\n# done",
    "<b>&amp; &lt;",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "1986. A year",
]
PATHS = [
    r"\\fileserver\install$",
    "C:\\!temp\\_old\\",
    "See __init__.py and _private_ of snake_case_name",
    r"a\_b \*c \# \\ \`",
    "first line\n# tail -f /var/log/messages",
    "# df -h\n# reboot",
    "#12 kernel: eth0 # up",
]


@pytest.fixture
def send(acme, partner_api):
    def send(*bodies):
        change = ChangeFactory()
        change.external_references.create(system=acme, external_id=f"C-{change.pk}")
        comments = [{"body": body} for body in bodies]
        sent = {"system_id": "ACME", "operation": "Update", "external_id": f"C-{change.pk}", "comments": comments}
        assert partner_api(acme).post("/api/v1/operations/", sent, format="json").status_code == 200
        return change

    return send


def shown(change, user):
    """The text of the change's page, and of the separate page of each comment."""
    client = web(user)
    yield text(client.get(f"/changes/{change.number}/"))
    yield "".join(text(client.get(f"/changes/{change.number}/comments/{own.pk}/")) for own in change.comments.all())


def test_a_partners_comments_are_shown_as_typed(send, alice):
    change = send(*PLAIN, "See https://example.com/a_b_c for *more*")
    for page in shown(change, alice):
        for body in PLAIN:
            assert " ".join(body.split()) in page, body
    page = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert '<a href="https://example.com/a_b_c" rel="nofollow">https://example.com/a_b_c</a> for *more*' in page
    assert "<strong>bolder" not in page


def test_a_system_may_say_that_it_sends_markdown(send, acme, alice, tmp_path):
    before = send("**old**")
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    address = f"/admin/integrations/externalsystem/{acme.pk}/change/"
    assert post_form(root, address, having="sends_markdown", sends_markdown="on").status_code == 302
    after = send("**new**")
    assert "<strong>new</strong>" in web(alice).get(f"/changes/{after.number}/").content.decode()
    # An earlier comment keeps the format that it had.
    assert "**old**" in text(web(alice).get(f"/changes/{before.number}/"))
    assert yaml.safe_load(dump())["external_systems"][0]["sends_markdown"] is True
    file = tmp_path / "exchange.yaml"
    file.write_text("external_systems: [{system_id: ACME, sends_markdown: false}]")
    call_command("load_exchange", str(file))
    assert not ExternalSystem.objects.get().sends_markdown
    assert "**plain**" in text(web(alice).get(f"/changes/{send('**plain**').number}/"))


def test_comments_from_before_the_rule_are_shown_by_where_they_came_from(acme, alice):
    change = ChangeFactory()
    Comment(change=change, author=acme.authorized_user, source_system="ACME", body="**theirs**").save()
    Comment(change=change, author=alice, body="**ours**").save()
    page = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert "**theirs**" in page and "<strong>ours</strong>" in page


def test_staffs_markdown_keeps_paths_names_and_the_lines_of_logs(alice):
    change = ChangeFactory()
    for body in PATHS:
        post_form(web(alice), f"/changes/{change.number}/", body=body)
    for page in shown(change, alice):
        for body in PATHS:
            assert " ".join(body.split()) in page, body
    assert Comment.objects.count() == len(PATHS)
    for typed, made in {
        "# Outage\nSwap tonight": "<h3>Outage</h3>",
        "*a* **b** ~~c~~": "<em>a</em> <strong>b</strong> <s>c</s>",
        "Text\n\n## Then": "<h3>Then</h3>",
    }.items():
        assert made in render(typed)
