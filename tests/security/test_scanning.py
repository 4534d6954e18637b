"""Attachments: no programs, nothing that a scanner refuses, and not more than a partner's share of the disk."""

from __future__ import annotations

import base64
import shutil
import sys
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.models import Attachment
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import ChangeFactory, UserFactory
from tests.html_forms import post_form
from tests.pages import text, web
from tests.processes import installed, start, until
from tests.rows import each_row

pytestmark = pytest.mark.django_db

# The file that every scanner finds and that harms nobody (EICAR). In two parts: this module is no virus either.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
EICAR_IN_HEX = EICAR.encode().hex()
SAID = {
    "program": "The file is a program: programs are not taken here.",
    "infected": "The virus scanner refused the file: do not send it again.",
    "unscanned": "The file cannot be scanned for viruses right now: send it again in a moment.",
}


@pytest.fixture
def change(acme, alice):
    change = ChangeFactory(requested_by=alice)
    ExternalReference.objects.create(change=change, system=acme, external_id="A-1")
    return change


@pytest.fixture
def ways(api, partner_api, acme, alice, change):
    """Each way by which a file comes in, as a function of its content: returns the status and what is said."""
    root = UserFactory(is_staff=True, is_superuser=True)
    pages = f"/changes/{change.number}/attachments/"

    def upload(content):
        return SimpleUploadedFile("plan.txt", content, "text/plain")

    def multipart(client):
        def send(content):
            address = f"/api/v1/changes/{change.number}/attachments/"
            answer = client.post(address, {"file": upload(content)}, format="multipart")
            return answer.status_code, answer.content.decode()

        return send

    def json(content):
        sent = {"file_name": "plan.txt", "content_base64": base64.b64encode(content).decode()}
        body = {"system_id": "ACME", "operation": "Update", "external_id": "A-1", "attachments": [sent]}
        answer = partner_api(acme).post("/api/v1/operations/", body, format="json")
        return answer.status_code, answer.content.decode()

    def page(content):
        answer = web(alice).post(pages, {"file": upload(content)}, follow=True)
        return answer.status_code, text(answer)

    def script(content):
        answer = web(alice).post(pages, {"file": upload(content)}, headers={"HX-Request": "true"})
        return answer.status_code, answer.json()["error"]

    def admin(content):
        answer = post_form(
            web(root), f"/admin/changes/change/{change.pk}/change/", **{"attachments-0-file": upload(content)}
        )
        return answer.status_code, text(answer)

    return {
        "API of staff": (multipart(api(alice)), {"program": 400, "infected": 400, "unscanned": 503, "": 201}),
        "API of a partner": (
            multipart(partner_api(acme)),
            {"program": 400, "infected": 400, "unscanned": 503, "": 201},
        ),
        "operation": (json, {"program": 400, "infected": 400, "unscanned": 503, "": 200}),
        "page": (page, {"program": 200, "infected": 200, "unscanned": 200, "": 200}),
        "page's script": (script, {"program": 422, "infected": 422, "unscanned": 422, "": 201}),
        "administration": (admin, {"program": 200, "infected": 200, "unscanned": 200, "": 302}),
    }


def refused_by_all(ways, content: bytes, code: str) -> None:
    for name, (send, statuses) in ways.items():
        status, said = send(content)
        assert status == statuses[code], name
        assert SAID[code] in said, name
    assert not Attachment.objects.exists()


# --- What it is ---


def test_a_program_is_refused_whatever_its_name(ways):
    refused_by_all(ways, Path(sys.executable).resolve().read_bytes()[:100_000], "program")


@each_row(
    ("content", "is_taken"),
    [
        (b"MZ\x90\x00\x03\x00\x00\x00\x04\x00" + b"\x00" * 60, False),  # Windows
        (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", False),  # macOS
        (b"L\x00\x00\x00\x01\x14\x02\x00\x00", False),  # a shortcut of Windows
        (b"[InternetShortcut]\r\nURL=https://evil.example/", False),
        (b"MZ is short for Markus Zeller, who plans this.", True),
        (b"#!/bin/sh\nsystemctl restart nginx\n", True),
        (b"PK\x03\x04", True),
        (b"\x00", True),
    ],
)
def test_a_program_is_known_by_its_content(api, alice, change, settings, content, is_taken):
    settings.ATTACHMENT_PROGRAMS = False
    file = SimpleUploadedFile("notes.txt", content, "text/plain")
    address = f"/api/v1/changes/{change.number}/attachments/"
    assert api(alice).post(address, {"file": file}, format="multipart").status_code == (201 if is_taken else 400)
    settings.ATTACHMENT_PROGRAMS = True
    file.seek(0)
    assert api(alice).post(address, {"file": file}, format="multipart").status_code == 201


def test_a_file_that_is_not_what_its_name_says_is_marked(alice, change):
    for name, content in {"a.pdf": b"%PDF-1.7", "b.pdf": b"<html>", "c.PNG": b"%PDF-1.7", "d.txt": b"%PDF-1.7"}.items():
        file = SimpleUploadedFile(name, content)
        Attachment(change=change, author=alice, file=file, file_name=name).save()
    shown = text(web(alice).get(f"/changes/{change.number}/"))
    assert shown.count("Its content is not what its name says.") == 2


# --- The scan ---


@pytest.fixture(scope="module")
def clamd(tmp_path_factory):
    """A ClamAV daemon that knows the test file alone. Returns the command that scans with it."""
    folder = tmp_path_factory.mktemp("clamav")
    (folder / "signatures").mkdir()
    (folder / "signatures" / "test.ndb").write_text(f"Test.File:0:*:{EICAR_IN_HEX}\n")
    config = folder / "clamd.conf"
    config.write_text(
        f"DatabaseDirectory {folder}/signatures\nLocalSocket {folder}/socket\nForeground yes\nLogFile {folder}/log\n"
        "ConcurrentDatabaseReload no\n"
    )
    # A copy: where AppArmor is on, its profile lets the installed one read no folders but its own.
    program = shutil.copy(installed("clamd"), folder / "clamd")
    daemon = start([str(program), "--config-file", str(config)], log=folder / "stdout")
    until("clamd listens", (folder / "socket").exists)
    yield f"clamdscan --config-file={config} --no-summary -"
    daemon.stop()


def test_clamav_finds_its_test_file_on_every_way(ways, settings, clamd):
    settings.ATTACHMENT_SCAN_COMMAND = clamd
    refused_by_all(ways, EICAR.encode(), "infected")


def test_a_clean_file_is_taken_on_every_way_and_its_scan_is_noted(ways, settings, clamd, alice, change):
    settings.ATTACHMENT_SCAN_COMMAND = clamd
    for name, (send, statuses) in ways.items():
        status, said = send(b"A plan.")
        assert (status, "scan" in said) == (statuses[""], False), name
    assert Attachment.objects.count() == len(ways)
    assert not Attachment.objects.filter(found_clean_at=None).exists()
    assert "not scanned" not in text(web(alice).get(f"/changes/{change.number}/"))


@each_row("command", ["no-such-scanner -", "sh -c 'exit 2'", "clamdscan --config-file=/none -"])
def test_without_its_scanner_nothing_is_taken_and_a_partner_sends_it_again(ways, settings, command):
    settings.ATTACHMENT_SCAN_COMMAND = command
    refused_by_all(ways, b"A plan.", "unscanned")


def test_the_log_says_why_a_partner_s_file_was_not_taken(ways, settings):
    settings.ATTACHMENT_SCAN_COMMAND = "no-such-scanner -"
    ways["operation"][0](b"A plan.")
    logged = IncomingOperation.objects.get()
    assert (logged.status, logged.http_status) == ("Failed", 503)
    assert SAID["unscanned"] in logged.error


def test_a_file_without_a_scan_says_so(ways, alice, change):
    ways["page"][0](b"A plan.")
    assert "not scanned for viruses" in text(web(alice).get(f"/changes/{change.number}/"))


# --- How much ---


def test_a_partner_s_files_take_no_more_than_its_share(ways, settings, acme):
    settings.PARTNER_FILES_MAX_BYTES = 1000
    send, multipart = ways["operation"][0], ways["API of a partner"][0]
    assert send(b"x" * 600)[0] == 200
    for way in (send, multipart):
        status, said = way(b"x" * 401)
        assert status == 413
        assert "The files of ACME take 600 bytes here, and at most 1000 are kept." in said
    assert multipart(b"x" * 400)[0] == 201
    assert send(b"x")[0] == 413
    assert ways["page"][0](b"x" * 2000)[0] == 200  # staff have no such limit
    assert [attachment.size for attachment in Attachment.objects.order_by("pk")] == [600, 400, 2000]
    assert acme.storage.bytes == 1000
    failed = IncomingOperation.objects.filter(status="Failed")
    assert [row.http_status for row in failed] == [413, 413, 413]


def test_what_is_refused_for_another_reason_takes_nothing(ways, acme, partner_api):
    content = base64.b64encode(b"x" * 600).decode()
    body = {"system_id": "ACME", "operation": "Update", "external_id": "A-1", "properties": {"phase": "Close"}}
    body["attachments"] = [{"file_name": "plan.txt", "content_base64": content}]
    assert partner_api(acme).post("/api/v1/operations/", body, format="json").status_code in (400, 403, 409)
    ways["operation"][0](b"x")
    assert acme.storage.bytes == 1
