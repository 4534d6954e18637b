import pytest
from django.core.files.base import ContentFile

from changes.models import Attachment, Comment
from tests.factories import ChangeFactory

from .installation import Installation


@pytest.fixture
def elsewhere(transactional_db, tmp_path):
    return Installation(tmp_path / "elsewhere")


@pytest.fixture
def change(transactional_db, acme, alice):
    """A change that ACME holds, with a comment and two files. Nothing was sent yet: four operations wait."""
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    Comment(change=change, author=alice, body="Since ten.").save()
    for name in ("one.txt", "two.txt"):
        file = ContentFile(f"The content of {name}".encode(), name=name)
        Attachment(change=change, author=alice, file=file, file_name=name).save()
    return change
