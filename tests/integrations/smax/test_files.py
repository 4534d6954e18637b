"""Files: uploads in all forms, what links them, who reads them, and what becomes of those that nothing links."""

import json
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from django.utils import timezone

from changes.models import Attachment, Change
from integrations import tasks
from integrations.models import ExternalReference, IncomingOperation, PartnerStorage, SmaxUpload
from tests.rows import each_row


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.fixture
def linked(acme, given):
    ExternalReference(change=given, system=acme, external_id="C-1").save()
    return given


def files(*guids, **more):
    listed = [{"properties": {"id": str(guid), "file_name": "a.txt", "size": "1", **more}} for guid in guids]
    return json.dumps({"complexTypeProperties": listed})


def form(name="a.txt", content=b"abc", field="files[]"):
    return {field: SimpleUploadedFile(name, content, "text/plain")}


def raw(name="a.txt", kind="text/plain", content=b"abc"):
    """A file as the whole body. Header values are bytes, which the test client takes as Latin-1."""
    return {"data": content, "content_type": kind, "HTTP_FS_FILENAME": name.encode().decode("latin-1")}


# address, what is sent, name, type
UPLOADS = [
    ("frs/file-list", raw(), "a.txt", "text/plain"),
    ("frs/file-list/", raw("a b.txt", ""), "a b.txt", "application/octet-stream"),
    ("frs/file-list", raw("Pläne.pdf", "application/pdf"), "Pläne.pdf", "application/pdf"),
    ("frs/file-list", {"data": {"files[]": "form"}}, "a.txt", "text/plain"),
    ("ces/attachment", {"data": {"files[]": "form"}}, "a.txt", "text/plain"),
    ("ces/attachment/", {"data": {"file": "form"}}, "a.txt", "text/plain"),
]


@each_row("address, sent, name, kind", UPLOADS)
def test_what_an_upload_answers(adapter, acme, address, sent, name, kind):
    sent = dict(sent)
    if isinstance(sent["data"], dict):
        sent["data"] = form(field=next(iter(sent["data"])))
    before = timezone.now()
    answer = adapter.call("post", address, **sent)
    upload = SmaxUpload.objects.get()
    assert before.timestamp() * 1000 - 1 <= answer.pop("lastModified") <= timezone.now().timestamp() * 1000
    assert answer == {
        "success": True,
        "guid": str(upload.guid),
        "name": name,
        "contentLength": 3,
        "contentType": kind,
        "creator": str(acme.authorized_user.pk),
    }
    read = adapter.call("get", f"frs/file-list/{upload.guid}")
    assert b"".join(read.streaming_content) == b"abc"
    assert read["Content-Type"] == kind
    assert read["Content-Disposition"].startswith("attachment")
    assert PartnerStorage.objects.get().bytes == 3


# what is sent to frs/file-list, status, what the error says
BAD = [
    ({"data": b"abc", "content_type": "text/plain"}, 400, "fs_filename: "),
    (raw("../a"), 400, "fs_filename: "),
    (raw("x" * 300), 400, "fs_filename: "),
    ({**raw(), "HTTP_FS_FILENAME": "\xff"}, 400, "fs_filename: "),
    (raw(content=b""), 400, ""),
    (raw(kind="nothing"), 400, "media type"),
    (raw(content=b"\x7fELF"), 400, "program"),
    (raw(content=b"x" * 2000), 413, "too large"),
    ({"data": {"other": "x"}}, 400, "files[]: "),
    ({"data": b"x", "content_type": "multipart/form-data"}, 400, "multipart"),
]


@each_row("sent, status, said", BAD)
def test_what_is_not_taken(adapter, sent, status, said):
    with override_settings(ATTACHMENT_MAX_BYTES=1000):
        answer = adapter.call("post", "frs/file-list", status, **sent)
    assert said in answer["meta"]["errorDetails"]["message"]
    assert not SmaxUpload.objects.exists()
    assert not PartnerStorage.objects.filter(bytes__gt=0).exists()


def test_a_write_links_uploads_and_the_list_reads_back(adapter, linked, alice, acme):
    ours = Attachment(change=linked, author=alice, file=SimpleUploadedFile("o.txt", b"ours"), file_name="o.txt")
    ours.save()
    first, second = (adapter.upload(content, name)["guid"] for content, name in ((b"one", "1.txt"), (b"two", "2.txt")))
    name = "ChangeAttachments"
    listed = json.loads(adapter.record(linked, name)[name])["complexTypeProperties"]
    assert [each["properties"]["id"] for each in listed] == [str(uuid.UUID(int=ours.pk))]
    adapter.write("Update", properties={"Id": linked.pk, name: files(first, first, uuid.UUID(int=ours.pk))})
    # The full list each time: what is known changes nothing, what is missing deletes nothing.
    adapter.write("Update", properties={"Id": linked.pk, name: files(first, second)})
    adapter.write("Update", properties={"Id": linked.pk, name: '{"complexTypeProperties":[]}'})
    adapter.write("Update", properties={"Id": linked.pk, name: ""})
    text = adapter.record(linked, name)[name]
    properties = [each["properties"] for each in json.loads(text)["complexTypeProperties"]]
    assert [(each["id"], each["file_name"], each["size"], each["mime_type"]) for each in properties] == [
        (str(uuid.UUID(int=ours.pk)), "o.txt", 4, "application/octet-stream"),
        (first, "1.txt", 3, "text/plain"),
        (second, "2.txt", 3, "text/plain"),
    ]
    adapter.write("Update", properties={"Id": linked.pk, name: text})
    assert Attachment.objects.count() == 3
    assert Attachment.objects.get(file_name="1.txt").source_system == "ACME"
    assert PartnerStorage.objects.get(system=acme).bytes == 6
    for guid, content in ((first, b"one"), (uuid.UUID(int=ours.pk), b"ours")):
        for address in ("frs/file-list", "ces/attachment"):
            assert b"".join(adapter.call("get", f"{address}/{guid}").streaming_content) == content


# the property, status, what the error says
BAD_LISTS = [
    ("{guid}", 200, ""),
    ("{theirs}", 404, "that you may use"),
    ("00000000-0000-0000-0000-000000000001", 404, "that you may use"),
    ("ffffffff-ffff-ffff-ffff-ffffffffffff", 404, "that you may use"),
    ("no guid", 400, "ChangeAttachments: Each file needs properties with an id"),
]


@each_row("guid, status, said", BAD_LISTS)
def test_a_file_that_the_caller_may_not_use_fails_the_whole_entity(adapter, other_adapter, linked, guid, status, said):
    known = {"{guid}": adapter.upload(b"x")["guid"], "{theirs}": other_adapter.upload(b"y")["guid"]}
    given = files(known.get(guid, guid))
    properties = {"Id": linked.pk, "DisplayLabel": "New", "ChangeAttachments": given}
    answer = adapter.write("Update", status, properties=properties, Comments=[{"Body": "Hi"}])
    if status != 200:
        assert said in answer["meta"]["errorDetails"]["message"]
        linked.refresh_from_db()
        assert linked.title != "New"
        assert not Attachment.objects.exists()
        assert IncomingOperation.objects.get().status == "Failed"


LISTS = ["x", "[]", '{"complexTypeProperties": 1}', '{"complexTypeProperties": [1]}', 7, ["a"], "[" * 50_000]


@each_row("given", LISTS)
def test_a_list_of_files_that_cannot_be_read(adapter, linked, given):
    answer = adapter.write("Update", 400, properties={"Id": linked.pk, "ChangeAttachments": given})
    assert answer["meta"]["errorDetails"]["message"].startswith("ChangeAttachments: ")


def test_a_failed_write_keeps_the_upload_for_the_next(adapter, linked):
    guid = adapter.upload(b"x")["guid"]
    properties = {"Id": linked.pk, "ChangeAttachments": files(guid)}
    adapter.write("Update", 409, properties={**properties, "PhaseId": "Close"})
    adapter.write("Update", 404, properties={"Id": 999999, "ChangeAttachments": files(guid)})
    assert b"".join(adapter.call("get", f"frs/file-list/{guid}").streaming_content) == b"x"
    adapter.write("Update", properties=properties)
    assert b"".join(adapter.call("get", f"frs/file-list/{guid}").streaming_content) == b"x"


# the file, whether the caller reaches its change, status, what the error says
OF_ANOTHER = [
    ("{upload}", True, 409, "ChangeAttachments: The file {guid} belongs to {number} already. Upload it again for"),
    ("{ours}", True, 409, "ChangeAttachments: The file {guid} belongs to {number} already."),
    ("{upload}", False, 404, "ChangeAttachments: There is no file {guid} that you may use."),
    ("{ours}", False, 404, "ChangeAttachments: There is no file {guid} that you may use."),
]


@each_row("file, reaches, status, said", OF_ANOTHER)
def test_a_file_belongs_to_one_change(adapter, other_adapter, linked, alice, file, reaches, status, said):
    guid = uuid.UUID(adapter.upload(b"x")["guid"])
    adapter.write("Update", properties={"Id": linked.pk, "ChangeAttachments": files(guid)})
    if file == "{ours}":
        ours = Attachment(change=linked, author=alice, file=SimpleUploadedFile("o.txt", b"ours"), file_name="o.txt")
        ours.save()
        guid = uuid.UUID(int=ours.pk)
    new = {"DisplayLabel": "x", "ChangeAttachments": files(guid)}
    writer = adapter if reaches else other_adapter
    answer = writer.write("Create", status, properties=new, ext={"ExternalId": "C-2"})
    assert said.format(guid=guid, number=linked.number) in answer["meta"]["errorDetails"]["message"]
    assert Change.objects.count() == 1


def test_another_partner_reads_no_file(adapter, other_adapter, linked):
    loose, used = adapter.upload(b"x")["guid"], adapter.upload(b"y")["guid"]
    adapter.write("Update", properties={"Id": linked.pk, "ChangeAttachments": files(used)})
    attachment = Attachment.objects.get()
    for guid in (loose, used, uuid.UUID(int=attachment.pk), uuid.uuid4(), uuid.UUID(int=2**127)):
        assert other_adapter.get(f"frs/file-list/{guid}", 404)["meta"]["errorDetails"]["httpStatus"] == 404
        assert other_adapter.get(f"ces/attachment/{guid}", 404)["entities"] == []


def test_the_quota_is_kept(adapter, linked):
    with override_settings(PARTNER_FILES_MAX_BYTES=5):
        guid = adapter.upload(b"abc")["guid"]
        refused = adapter.upload(b"abc", status=413)
        assert "take 3 bytes here" in refused["meta"]["errorDetails"]["message"]
        # Linking takes nothing more.
        adapter.write("Update", properties={"Id": linked.pk, "ChangeAttachments": files(guid)})
    assert SmaxUpload.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_not_linked_within_a_day_is_dropped_with_its_file(adapter, linked, acme):
    loose, used = (SmaxUpload.objects.get(pk=adapter.upload(content)["guid"]) for content in (b"abc", b"de"))
    adapter.write("Update", properties={"Id": linked.pk, "ChangeAttachments": files(used.guid)})
    with time_machine.travel(timezone.now() + timedelta(hours=23), tick=False):
        tasks.tend_tokens()
    assert SmaxUpload.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        tasks.tend_tokens()
    assert [upload.guid for upload in SmaxUpload.objects.all()] == [used.guid]
    assert not default_storage.exists(loose.file.name)
    assert default_storage.exists(used.file.name)
    assert PartnerStorage.objects.get(system=acme).bytes == 2
