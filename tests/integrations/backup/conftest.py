import pytest
from django.core.files.base import ContentFile

from changes.models import Attachment, Comment
from tests.factories import ChangeFactory, ExternalGroupFactory, UserFactory

from .installation import Installation


@pytest.fixture
def elsewhere(transactional_db, tmp_path):
    return Installation(tmp_path / "elsewhere")


@pytest.fixture
def alice(transactional_db):
    return UserFactory(username="alice", email="alice@desk.example")


@pytest.fixture
def change(alice):
    """A change that ACME holds, with a comment and a file. Nothing was sent yet: four operations wait."""
    external = ExternalGroupFactory(group__name="ACME Networks", system__system_id="ACME")
    change = ChangeFactory(owning_group=external.group)
    Comment(change=change, author=alice, body="Since ten.").save()
    for name in ("one.txt", "two.txt"):
        file = ContentFile(f"The content of {name}".encode(), name=name)
        Attachment(change=change, author=alice, file=file, file_name=name).save()
    return change
