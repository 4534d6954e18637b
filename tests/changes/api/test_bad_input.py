"""Invalid input: each request gets a clear error, and nothing is changed."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.choices import Phase
from changes.models import Approval, Attachment, Change, Comment
from tests.factories import ChangeFactory, change_in
from tests.rows import each_row

CHANGES = "/api/v1/changes/"
LONG = "x" * 201
NUL, HALF = "\\u0000", "\\ud800"

# An invalid body, the field of the error, and a part of its message.
BODIES = {
    "blank": (" \n", None, "Not JSON"),
    "not JSON": ("title=Another", None, "Not JSON: Expecting value, line 1 column 1"),
    "cut off": ('{"title": "Anoth', None, "Not JSON: Unterminated string"),
    "trailing comma": ('{"title": "Another",}', None, "Not JSON"),
    "two values": ('{"title": "Another"} {}', None, "Not JSON: Extra data"),
    "single quotes": ("{'title': 'Another'}", None, "Not JSON"),
    "control character": ('{"title": "An\nother"}', None, "Not JSON: Invalid control character"),
    "two byte order marks": ('\ufeff\ufeff{"title": "Another"}', None, "BOM"),
    "list": ('[{"title": "Another"}]', None, "must be a JSON object"),
    "text": ('"Another"', None, "must be a JSON object"),
    "null": ("null", None, "must be a JSON object"),
    "not UTF-8": (b'{"title": "Z\xfcrich"}', None, "not UTF-8: see byte 12"),
    "surrogate in UTF-8": (b'{"title": "\xed\xa0\x80"}', None, "not UTF-8"),
    "UTF-16": ('{"title": "Another"}'.encode("utf-16"), None, "not UTF-8"),
    "repeated field": ('{"title": "Another", "title": "Third"}', "title", "more than once"),
    "repeated field inside": ('{"title": "A", "x": [1, {"b": 1, "c": 2, "b": 1}]}', "x.1.b", "more than once"),
    "NaN": ('{"title": NaN}', "title", "NaN"),
    "Infinity inside": ('{"title": "A", "x": [0, -Infinity]}', "x.1", "Infinity"),
    "float too large": ('{"title": 1e999}', "title", "too large"),
    "integer too large": (f'{{"title": {"9" * 5000}}}', "title", "too large"),
    "nested too deeply": ('{"title": ' + "[" * 100_000 + "]" * 100_000 + "}", None, "nested too deeply"),
    "nested deeply": ('{"title": ' + '{"x": ' * 40 + "1" + "}" * 40 + "}", None, "nested too deeply"),
    "NUL": (f'{{"title": "An{NUL}other"}}', "title", "NUL"),
    "NUL inside": (f'{{"title": "A", "x": {{"y": [{{"z": "{NUL}"}}]}}}}', "x.y.0.z", "NUL"),
    "NUL in a name": (f'{{"tit{NUL}le": "Another"}}', "tit\\u0000le", "NUL"),
    "half a pair": (f'{{"title": "An{HALF}other"}}', "title", "surrogate"),
    "the other half": ('{"title": "\\udc00\\ud83d"}', "title", "surrogate"),
    "half a pair in a name": (f'{{"title": "A", "{HALF}": {{"x{HALF}": 1}}}}', "\\ud800", "surrogate"),
}
# A field, a value that it refuses, and a part of the error message.
VALUES = [
    ("title", "", "blank"),
    ("title", " \t", "blank"),
    ("title", None, "null"),
    ("title", LONG, "no more than 200"),
    *((name, value, "JSON string") for name in ("title", "reason") for value in (5, 1.5, True, False, [], {}, ["x"])),
    *(
        (name, None, "null")
        for name in ("description", "category", "service", "reason", "justification", "backout_plan")
    ),
    *((name, LONG, "no more than 200") for name in ("category", "service")),
    *(
        (name, "x" * 100_001, "no more than 100000")
        for name in ("description", "reason", "justification", "implementation_plan", "backout_plan")
    ),
    *(
        (name, value, "Give one of: ")
        for name in ("change_type", "risk", "business_impact", "urgency", "completion_code")
        for value in ("", "normal", "LOW", 1, True, [], {}, "x" * 5000)
    ),
    *((name, None, "null") for name in ("change_type", "business_impact", "urgency")),
    ("owning_group", "Nobody", "There is no group named Nobody."),
    ("owning_group", "network", "There is no group named network."),
    ("owning_group", "", "There is no group named"),
    ("owning_group", "x" * 5000, "There is no group named"),
    ("owning_group", 1, "group's name"),
    ("owning_group", {"name": "Network"}, "group's name"),
    *((name, "2026-02-30T10:00:00Z", "no such date") for name in ("planned_start", "planned_end", "actual_start")),
    ("planned_start", "2025-02-29T10:00:00Z", "no such date"),
    ("planned_start", "2026-11-24T25:00:00Z", "no such date"),
    ("planned_start", "2026-11-24T10:00:60Z", "no such date"),
    ("planned_start", "2026-11-24T10:00:00+24:00", "no such date"),
    ("planned_start", "0000-01-01T00:00:00Z", "no such date"),
    ("planned_start", "2026-11-24T10:00:00", "no offset"),
    ("planned_start", "2026-11-24T10:00:00.5", "no offset"),
    ("planned_start", "2026-11-24", "RFC 3339"),
    ("planned_start", "2026-11-24 10:00:00Z", "RFC 3339"),
    ("planned_start", "2026-11-24T10:00Z", "RFC 3339"),
    ("planned_start", "24.11.2026 10:00", "RFC 3339"),
    ("planned_start", "tomorrow", "RFC 3339"),
    ("planned_start", "", "RFC 3339"),
    ("planned_start", "2026-11-24T10:00:00Z\n", "RFC 3339"),
    ("planned_start", "\u0662\u0660\u0662\u0666-11-24T10:00:00Z", "RFC 3339"),
    ("planned_start", "0001-01-01T00:00:00+14:00", "between 1900 and 9998"),
    ("planned_start", "9999-12-31T23:59:59-14:00", "between 1900 and 9998"),
    *(("planned_start", value, "JSON string") for value in (1_795_512_600, 1.5, True, [], {})),
]
UNKNOWN = [
    ("number", "CHG0000099", "There is no such field here. Known: title, description"),
    ("priority", "Critical", "no such field"),
    ("requested_by", "bob", "no such field"),
    ("version", 7, "no such field"),
    ("external_references", [], "no such field"),
    ("Title", "Another", "no such field"),
    ("properties", {"title": "Another"}, "no such field"),
    ("", 1, "no such field"),
    ("phase", "Plan", "A transition sets the phase"),
]


def everything():
    return [list(model.objects.order_by("pk").values()) for model in (Change, Comment, Attachment, Approval)]


@pytest.fixture
def change(db):
    return ChangeFactory()


@pytest.fixture
def refused(api, change, carol):
    """`refused(method, path, body)` sends a request, checks that nothing changed, and returns the errors."""

    def refused(method, path, body, status=400, **options):
        before = everything()
        address = CHANGES + path.format(change=change.number)
        if isinstance(body, str | bytes):
            answer = api(carol).generic(method, address, body, "application/json")
        else:
            answer = getattr(api(carol), method.lower())(address, body, **options)
        assert answer.status_code == status, answer.content[:500]
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert everything() == before
        return answer.json()["errors"]

    return refused


@pytest.mark.any_database
@each_row("name", BODIES)
@each_row(("method", "path"), [("POST", ""), ("PATCH", "{change}/")])
def test_a_body_that_cannot_be_read(refused, name, method, path):
    body, attr, words = BODIES[name]
    (error,) = refused(method, path, body)
    assert (error["attr"], words in error["detail"]) == (attr, True), error


@each_row(("name", "value", "words"), [*VALUES, *UNKNOWN])
def test_a_value_that_a_field_does_not_take(refused, name, value, words):
    for method, path in (("POST", ""), ("PATCH", "{change}/")):
        (error,) = refused(method, path, {"title": "Another", name: value})
        assert error["attr"] == (name or None)
        assert words in error["detail"]
        assert len(error["detail"]) < 500


@pytest.mark.any_database
def test_every_wrong_field_is_named_at_once(refused):
    errors = refused("PATCH", "{change}/", {"title": 5, "risk": "x", "size": 1, "planned_end": "x", "reason": "Good"})
    assert {error["attr"] for error in errors} == {"title", "risk", "size", "planned_end"}


@pytest.mark.any_database
def test_thousands_of_wrong_fields_are_not_all_named(refused):
    body = json.dumps({"title": "Another", **{f"field{i}": 1 for i in range(9_000)}})
    assert len(refused("PATCH", "{change}/", body)) == 20


@pytest.mark.any_database
@each_row(
    ("path", "body", "attr", "words"),
    [
        ("comments", {}, "body", "required"),
        ("comments", {"body": ""}, "body", "blank"),
        ("comments", {"body": " \n "}, "body", "blank"),
        ("comments", {"body": None}, "body", "null"),
        ("comments", {"body": 5}, "body", "JSON string"),
        ("comments", {"body": "x" * 100_001}, "body", "no more than 100000"),
        ("comments", {"body": "x", "visibility": "secret"}, "visibility", "Give one of: public, private."),
        ("comments", {"body": "x", "visibility": None}, "visibility", "null"),
        ("comments", {"body": "x", "author": "bob"}, "author", "Known: body, visibility."),
        ("comments", {"text": "x", "body": "y"}, "text", "no such field"),
        ("comments", '{"body": "\\u0000"}', "body", "NUL"),
        ("comments", '{"body": "\\udfff"}', "body", "surrogate"),
        ("transitions", {}, "phase", "required"),
        ("transitions", {"phase": "Planned"}, "phase", "Give one of: Log, Evaluate"),
        ("transitions", {"phase": "evaluate"}, "phase", "Give one of"),
        ("transitions", {"phase": None}, "phase", "null"),
        ("transitions", {"phase": 1}, "phase", "Give one of"),
        ("transitions", {"phase": "Evaluate", "title": "x"}, "title", "Known: phase."),
        ("approvals", {}, "decision", "required"),
        ("approvals", {"decision": "Maybe"}, "decision", "Give one of: Approved, Denied."),
        ("approvals", {"decision": True}, "decision", "Give one of"),
        ("approvals", {"decision": "Approved", "comment": None}, "comment", "null"),
        ("approvals", {"decision": "Approved", "comment": "x" * 100_001}, "comment", "no more than 100000"),
        ("approvals", {"decision": "Approved", "round": 1}, "round", "Known: decision, comment."),
    ],
)
def test_an_addition_with_a_value_that_is_not_taken(refused, path, body, attr, words):
    (error,) = refused("POST", f"{{change}}/{path}/", body)
    assert error["attr"] == attr
    assert words in error["detail"]


@pytest.mark.any_database
def test_a_create_without_a_body_lacks_its_title(refused):
    (error,) = refused("POST", "", "")
    assert (error["attr"], error["code"]) == ("title", "required")


class TestUploads:
    @pytest.fixture(autouse=True)
    def _limit(self, settings):
        settings.ATTACHMENT_MAX_BYTES = 1000

    def file(self, content=b"content", name="plan.pdf", content_type="application/pdf"):
        return SimpleUploadedFile(name, content, content_type)

    @pytest.mark.any_database
    @each_row(
        ("form", "status", "attr", "words"),
        [
            (lambda file: {}, 400, "file", "exactly one file"),
            (lambda file: {"file": "text"}, 400, "file", "exactly one file"),
            (lambda file: {"file": [file(), file()]}, 400, "file", "exactly one file"),
            (lambda file: {"file": [file(), "text"]}, 400, "file", "exactly one file"),
            (lambda file: {"attachment": file()}, 400, "attachment", "Known: file."),
            (lambda file: {"file": file(), "title": "x"}, 400, "title", "Known: file."),
            (lambda file: {"file": file(b"")}, 400, "file", "empty"),
            (lambda file: {"file": file(b"x" * 1001)}, 413, "file", "at most 1000"),
            (lambda file: {"file": file(content_type="pdf")}, 400, "file", "content type"),
            (lambda file: {"file": file(content_type="a/" + "b" * 100)}, 400, "file", "content type"),
        ],
    )
    def test_a_form_that_is_not_taken(self, refused, form, status, attr, words):
        (error,) = refused("POST", "{change}/attachments/", form(self.file), status, format="multipart")
        assert error["attr"] == attr
        assert words in error["detail"]

    @pytest.mark.any_database
    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b"garbage", "multipart/form-data; boundary=x"),
            (b"", "multipart/form-data; boundary=x"),
            (b"--x\r\n", "multipart/form-data"),
            (
                b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut',
                "multipart/form-data; boundary=x",
            ),
            (b"--x\r\n", "multipart/form-data; boundary=\xc3\xa9"),
        ],
    )
    def test_a_form_that_cannot_be_read(self, api, carol, change, body, content_type):
        address = f"{CHANGES}{change.number}/attachments/"
        answer = api(carol).generic("POST", address, body, content_type)
        assert answer.status_code == 400
        assert not Attachment.objects.exists()

    @pytest.mark.any_database
    def test_a_final_phase_checks_files_just_as_well(self, api, carol):
        change = change_in(Phase.CLOSE)
        address = f"{CHANGES}{change.number}/attachments/"
        assert api(carol).post(address, {"file": self.file(b"")}, format="multipart").status_code == 400
        assert not Attachment.objects.exists()
