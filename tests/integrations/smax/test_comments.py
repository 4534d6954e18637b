"""Comments that adapters write: who sees them, and which ones are the same."""

from changes.choices import Visibility
from changes.models import Comment
from integrations.models import ExternalReference
from tests.rows import each_row

from .conftest import own

# PrivacyType, visibility
PRIVACY = [
    ({}, Visibility.PUBLIC),
    ({"PrivacyType": "PUBLIC"}, Visibility.PUBLIC),
    ({"PrivacyType": None, "IsSystem": "true"}, Visibility.PUBLIC),
    ({"PrivacyType": "PRIVATE"}, Visibility.PRIVATE),
    ({"PrivacyType": "INTERNAL"}, Visibility.PRIVATE),
    ({"PrivacyType": "AgentPublic"}, Visibility.PRIVATE),
]


@each_row("parts, visibility", PRIVACY)
def test_who_sees_a_comment(adapter, linked, parts, visibility):
    adapter.write("Update", properties=own(linked), Comments=[{"Body": " <b>Verbatim</b>\n ", **parts}])
    comment = Comment.objects.get()
    assert (comment.body, comment.visibility) == (" <b>Verbatim</b>\n ", visibility)
    listed = adapter.get(f"collaboration/comments/Change/{linked.pk}")
    assert [each["Body"] for each in listed] == ([comment.body] if visibility == Visibility.PUBLIC else [])


@each_row("created", [1764000000000, "1764000000000", "2026-11-24T09:30:00Z", 0])
def test_a_comment_keeps_its_time_and_is_added_once(adapter, linked, created):
    comment = {"Body": "Hello", "CreatedTime": created}
    for number in range(3):
        # Something else differs each time, so that the entity is no repetition.
        ext = {"ExternalStatus": f"Status {number}"}
        adapter.write("Update", properties=own(linked), Comments=[comment, comment], ext=ext)
    [listed] = adapter.get(f"collaboration/comments/Change/{linked.pk}")
    assert listed["CreatedTime"] == created
    quoted = {**comment, "CreatedTime": str(created)}
    adapter.write("Update", properties=own(linked), Comments=[quoted])
    assert Comment.objects.count() == 1
    adapter.write("Update", properties=own(linked), Comments=[{**comment, "CreatedTime": 7}])
    adapter.write("Update", properties=own(linked), Comments=[{**comment, "Body": "Other"}])
    assert Comment.objects.count() == 3


# CreatedTime, the same in another form, whether it is the same
FORMS = [
    (1764000000000, 1764000000000.0, True),
    (1764000000000.0, 1764000000000, True),
    (1764000000000.0, "1764000000000", True),
    ("1764000000000.0", 1764000000000, True),
    (1764000000000, "1764000000000.0", True),
    ("1764000000000", 1764000000000.0, True),
    (1764000000000.5, "1764000000000.5", True),
    (1764000000000, 1764000000000.5, False),
    (1764000000000, "2025-11-24T16:00:00Z", False),
    (1e300, 1e300, True),
    (7, "٧", False),
]


@each_row("first, second, is_same", FORMS)
def test_a_comment_is_the_same_in_whatever_form_its_time_is_sent(adapter, linked, first, second, is_same):
    for number, created in enumerate((first, second)):
        comments, ext = [{"Body": "Hello", "CreatedTime": created}], {"ExternalStatus": f"Status {number}"}
        adapter.write("Update", properties=own(linked), Comments=comments, ext=ext)
    listed = adapter.get(f"collaboration/comments/Change/{linked.pk}")
    assert [each["CreatedTime"] for each in listed] == ([first] if is_same else [first, second])


def test_a_comment_without_a_time_is_added_each_time_unless_the_entity_is_the_same(adapter, linked):
    for status in ("a", "a", "b"):
        adapter.write("Update", properties=own(linked), Comments=[{"Body": "Hi"}], ext={"ExternalStatus": status})
    assert Comment.objects.count() == 2


# who says what between ACME's post and its repetition, what ACME posts, whether it is answered with the first one
BETWEEN = [
    ("OTHER", {"Body": "ok", "PrivacyType": "PRIVATE"}, {"Body": "ok", "CreatedTime": 1}, True),
    ("OTHER", {"Body": "ok", "PrivacyType": "PRIVATE"}, {"Body": "ok"}, True),
    ("OTHER", {"Body": "ok"}, {"Body": "ok"}, False),
    ("OTHER", {"Body": "ok", "CreatedTime": 1}, {"Body": "ok", "CreatedTime": "1"}, True),
    ("ACME", {"Body": "ok", "CreatedTime": 2}, {"Body": "ok", "CreatedTime": 1}, True),
    ("ACME", {"Body": "ok", "CreatedTime": 2}, {"Body": "ok"}, True),
]


@each_row("speaker, between, posted, is_first", BETWEEN)
def test_a_posted_comment_is_answered_and_no_other_one(
    adapter, other_adapter, linked, speaker, between, posted, is_first
):
    ExternalReference(change=linked, system=other_adapter.system, external_id="O-1").save()
    path = f"collaboration/comments/Change/{linked.pk}"
    first = adapter.post(path, posted, 201)
    {"ACME": adapter, "OTHER": other_adapter}[speaker].post(path, between, 201)
    again = adapter.post(path, posted, 201)
    assert (again == first) == is_first
    assert Comment.objects.get(pk=again["Id"]).source_system == "ACME"
