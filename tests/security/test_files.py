"""Stored files: who may read them on the server, and under which name they are kept."""

import stat
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from changes.models import Attachment
from tests.factories import ChangeFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["in memory", "through a temporary file"])
def test_a_stored_file_is_for_the_server_alone_and_has_our_name(api, alice, size):
    file = SimpleUploadedFile("cron.d.txt", b"x" * size, "text/plain")
    address = f"/api/v1/changes/{ChangeFactory().number}/attachments/"
    assert api(alice).post(address, {"file": file}, format="multipart").status_code == 201
    stored = Path(Attachment.objects.get().file.path)
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
    assert stored.is_relative_to(Path(settings.MEDIA_ROOT) / "attachments")
    assert stored.name.isalnum() and "cron" not in str(stored)
