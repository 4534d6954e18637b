"""An uploaded file keeps its name or is refused. A download has a name that every program understands."""

import base64
from functools import cache
from urllib.parse import unquote

import pytest
from django.core.files.base import ContentFile

from changes.models import Attachment
from tests.factories import ChangeFactory, UserFactory
from tests.html_forms import read_form
from tests.pages import text, web

pytestmark = pytest.mark.django_db
KEPT = [
    "R&D&notes.txt",
    "a&#47;b&amp;c.txt",
    "1\u202f000\u00a0€.pdf",
    "می\u200cخواهم.txt",
    "👩\u200d👩\u200d👧.png",
    "Ba\u0308nder.pdf",
    "100% (copy).txt",
    "it's; a=b.txt",
    "x" * 251 + ".txt",
]
REFUSED = [
    "folder/name.txt",
    "folder\\name.txt",
    " edge.txt",
    "edge.txt\u00a0",
    "zero\u200bwidth.txt",
    "turned\u202egpj.exe",
    "bell\x07.txt",
    b"latin-\xe9.txt",
    "..",
    "x" * 256,
]


def form(name, field="file", **fields):
    """A multipart form as a browser sends it. The test client would alter the file name."""
    raw = name if isinstance(name, bytes) else name.encode().replace(b"\\", b"\\\\")
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (key.encode(), str(value).encode())
        for key, value in fields.items()
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n' % (field.encode(), raw)
    return b"".join(parts) + head + b"Content-Type: text/plain\r\n\r\ncontent\r\n--x--\r\n"


MULTIPART = "multipart/form-data; boundary=x"


def ways(alice, api, acme, partner_api):
    """The ways to upload. Each is a function that uploads a file of the given name to a change."""
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))

    def page(change, name):
        return web(alice).generic("POST", f"/changes/{change.number}/attachments/", form(name), MULTIPART)

    def script(change, name):
        headers = {"HX-Request": "true"}
        address = f"/changes/{change.number}/attachments/"
        return web(alice).generic("POST", address, form(name), MULTIPART, headers=headers)

    def rest(change, name):
        return api(alice).generic("POST", f"/api/v1/changes/{change.number}/attachments/", form(name), MULTIPART)

    @cache  # the form stays the same: it shows no file that is there
    def fields_of(address):
        return {key: values[-1] for key, values in read_form(root.get(address), "title")["fields"].items() if values}

    def admin(change, name):
        address = f"/admin/changes/change/{change.pk}/change/"
        return root.generic("POST", address, form(name, "attachments-0-file", **fields_of(address)), MULTIPART)

    def operation(change, name):
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
        file = {"file_name": text, "content_base64": base64.b64encode(b"content").decode()}
        change.external_references.get_or_create(system=acme, external_id="C-1")
        sent = {"system_id": "ACME", "operation": "Update", "external_id": "C-1", "attachments": [file]}
        return partner_api(acme).post("/api/v1/operations/", sent, format="json")

    return [page, script, rest, admin, operation]


def test_a_name_is_kept_letter_for_letter_or_refused(alice, api, acme, partner_api):
    change = ChangeFactory()
    for upload in ways(alice, api, acme, partner_api):
        for name in KEPT:
            answer = upload(change, name)
            assert answer.status_code in (200, 201, 302), (upload, name, answer.content)
            assert Attachment.objects.latest("pk").file_name == name, upload
        count = Attachment.objects.count()
        for name in REFUSED:
            answer = upload(change, name)
            assert answer.status_code in (200, 302, 400, 422), (upload, name)
            assert Attachment.objects.count() == count, (upload, name)
            if answer.status_code in (400, 422):
                # Django's parser ignores a file whose name is not UTF-8, as if there were none.
                assert b"name" in answer.content or b"255" in answer.content or isinstance(name, bytes)
    rest = ways(alice, api, acme, partner_api)[2]
    assert "a file name in UTF-8" in rest(change, b"latin-\xe9.txt").json()["detail"]
    client = web(alice)
    client.generic("POST", f"/changes/{change.number}/attachments/", form("a/b.txt"), MULTIPART)
    assert "a/b.txt was not attached. Give a plain file name" in text(client.get(f"/changes/{change.number}/"))


NOT_UTF_8 = "The file name is not valid UTF-8: rename the file."


ALTERED = (
    "A browser may have altered the file name: rename the file, without quotation marks and without %22, %0A and %0D."
)


def test_a_name_that_a_browser_may_have_altered_is_refused_unless_the_page_tells_it(alice, api, acme, partner_api):
    """A browser sends `"` as %22 and a line break as %0A or %0D, and leaves a percent sign of the name as it is."""
    change = ChangeFactory()
    _, script, rest, admin, operation = ways(alice, api, acme, partner_api)
    client, address = web(alice), f"/changes/{change.number}/"
    for name in ("qu%22ote.txt", "a%0Ab.txt", "a%0Db.txt", "100%22"):
        count = Attachment.objects.count()
        client.generic("POST", f"{address}attachments/", form(name), MULTIPART)
        assert f"{name} was not attached. {ALTERED}" in text(client.get(address))
        assert (script(change, name).status_code, script(change, name).json()["error"]) == (422, ALTERED)
        assert ALTERED in text(admin(change, name))
        assert Attachment.objects.count() == count
        for upload in (rest, operation):
            assert upload(change, name).status_code in (200, 201)
            assert Attachment.objects.latest("pk").file_name == name

    def told(sent, name):
        body = form(sent, file_name=name)
        headers = {"HX-Request": "true"}
        return client.generic("POST", f"{address}attachments/", body, MULTIPART, headers=headers).json()["error"]

    for sent, name in [("qu%22ote.txt", 'qu"ote.txt'), ("qu%22ote.txt", "qu%22ote.txt"), ("100%.txt", "100%.txt")]:
        assert told(sent, name) == ""
        assert Attachment.objects.latest("pk").file_name == name
    count = Attachment.objects.count()
    assert told("a%0Ab.txt", "a\r\nb.txt") == "Give a plain file name, without folders or control characters."
    assert told("x.txt", "x" * 256) and told("x.txt", " x.txt") and told("x.txt", "\ufffd.txt") == NOT_UTF_8
    assert Attachment.objects.count() == count


def test_a_download_is_named_in_both_forms(alice, api, acme):
    for name, plain in [
        ("plan.pdf", "plan.pdf"),
        ("Bänder.pdf", "Bander.pdf"),
        ("Ba\u0308nder.pdf", "Bander.pdf"),
        ('a"b%20\u202fc.txt', "a_b_20 c.txt"),
        ("日本.txt", "__.txt"),
    ]:
        made = Attachment(change=ChangeFactory(), author=alice, file=ContentFile(b"%PDF-", name="x"), file_name=name)
        made.save()
        for client, address in (
            (web(alice), f"/changes/{made.change.number}/attachments/{made.pk}/"),
            (web(alice), f"/changes/{made.change.number}/attachments/{made.pk}/preview/"),
            (api(alice), f"/api/v1/attachments/{made.pk}/content/"),
        ):
            kind, first, *exact = client.get(address)["Content-Disposition"].split("; ")
            assert kind == ("inline" if "preview" in address else "attachment")
            assert first == f'filename="{plain}"'
            told = [unquote(part.removeprefix("filename*=UTF-8''")) for part in exact]
            assert told == ([] if plain == name else [name])
