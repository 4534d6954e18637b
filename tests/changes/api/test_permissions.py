"""Which role may make which call; on a refusal nothing changed."""

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import Phase
from changes.models import Approval, Attachment, Change, Comment
from tests.factories import UserFactory, change_in

EVERYBODY = {"alice", "carol", "ingrid", "audrey"}
READS = (
    "changes/",
    "{change}",
    "{change}transitions/",
    "{change}approvals/",
    "{change}comments/",
    "{change}attachments/",
)
# The call, the roles that may make it, its status for them, and the permission named in the refusal for the others.
WRITES = {
    "create": ({"alice", "carol"}, 201, "changes.add_change"),
    "edit": ({"alice", "carol"}, 200, "changes.change_change"),
    "move": ({"alice", "carol"}, 200, "changes.change_change"),
    "abandon": ({"carol"}, 200, "changes.abandon_change"),
    "approve": ({"carol"}, 201, "changes.approve_change"),
    "comment": ({"alice", "carol"}, 201, "changes.add_comment"),
    "attach": ({"alice", "carol"}, 201, "changes.add_attachment"),
}


def make_call(client, change, call):
    address = f"/api/v1/changes/{change.number}/"
    if call == "attach":
        file = SimpleUploadedFile("plan.pdf", b"content")
        return client.post(f"{address}attachments/", {"file": file}, format="multipart")
    method, path, body = {
        "create": ("post", "/api/v1/changes/", {"title": "New"}),
        "edit": ("patch", address, {"title": "Another"}),
        "move": ("post", f"{address}transitions/", {"phase": "Plan"}),
        "abandon": ("post", f"{address}transitions/", {"phase": "Abandon"}),
        "approve": ("post", f"{address}approvals/", {"decision": "Approved"}),
        "comment": ("post", f"{address}comments/", {"body": "Hello"}),
    }[call]
    return getattr(client, method)(path, body)


def everything():
    return [list(model.objects.order_by("pk").values()) for model in (Change, Comment, Attachment, Approval)]


@pytest.fixture
def change(db):
    # Can move to Plan and to Abandon without unmet conditions, and can be approved or denied.
    return change_in(Phase.APPROVE_PLAN, completion_code="Withdrawn", requested_by=UserFactory(username="bob"))


@pytest.mark.parametrize("name", sorted(EVERYBODY))
@pytest.mark.parametrize("call", WRITES)
def test_each_role_writes_what_it_may(api, request, change, name, call):
    allowed, status, permission = WRITES[call]
    user = request.getfixturevalue(name)
    before = everything()
    answer = make_call(api(user), change, call)
    if name in allowed:
        assert answer.status_code == status
        assert everything() != before
        return
    assert answer.status_code == 403
    (error,) = answer.json()["errors"]
    assert error["code"] == "permission_denied"
    assert permission in error["detail"]
    assert everything() == before


@pytest.mark.parametrize("name", sorted(EVERYBODY))
def test_every_role_reads_everything(api, request, change, name):
    user = request.getfixturevalue(name)
    attachment = Attachment(change=change, author=user, file=ContentFile(b"x", name="x"), file_name="x")
    attachment.save()
    Comment(change=change, author=user, body="Between us", visibility="private").save()
    client = api(user)
    for path in READS:
        answer = client.get("/api/v1/" + path.format(change=f"changes/{change.number}/"))
        assert answer.status_code == 200, path
    assert client.get(f"/api/v1/attachments/{attachment.pk}/content/").status_code == 200
    (comment,) = client.get(f"/api/v1/changes/{change.number}/comments/").json()["results"]
    assert comment["visibility"] == "private"


def test_a_permission_given_by_hand_counts_too(api, change, audrey):
    audrey.user_permissions.add(Permission.objects.get(codename="abandon_change"))
    assert make_call(api(audrey), change, "abandon").json()["phase"] == "Abandon"


@pytest.mark.parametrize("call", [*WRITES, *READS])
def test_a_user_without_a_role_or_a_system_is_refused(api, change, call):
    client = api(UserFactory(username="mallory"))
    before = everything()
    if call in WRITES:
        answer = make_call(client, change, call)
    else:
        answer = client.get("/api/v1/" + call.format(change=f"changes/{change.number}/"))
    assert answer.status_code == 403
    assert "Only members of staff, and the authorized users of external systems" in answer.json()["detail"]
    assert everything() == before


@pytest.mark.parametrize("call", [*WRITES, *READS])
def test_nobody_gets_in_without_a_token(api, change, call):
    before = everything()
    if call in WRITES:
        answer = make_call(api(), change, call)
    else:
        answer = api().get("/api/v1/" + call.format(change=f"changes/{change.number}/"))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert everything() == before
