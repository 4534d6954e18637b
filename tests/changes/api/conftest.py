from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile

from changes.choices import Phase
from changes.models import Approval, Attachment, Comment
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in


@pytest.fixture
def add_rows(db: None, acme: Any) -> Callable[[str, int], str]:
    """`add_rows("comments", 3)` adds three rows to that list, each with its own people, and returns its address."""
    change = change_in(Phase.APPROVE_PLAN)
    serial = iter(range(1000))

    def add_change() -> None:
        number = next(serial)
        user, group = UserFactory(username=f"requester{number}"), SupportGroupFactory(name=f"Group {number}")
        added = ChangeFactory(title="Row", requested_by=user, owning_group=group)
        ExternalReference.objects.create(change=added, system=acme, external_id=f"C-{number}")

    def add_addition(kind: str) -> None:
        fields = {"change": change, "author": UserFactory(username=f"author{next(serial)}")}
        if kind == "comments":
            Comment(**fields, body="Hello").save()
        elif kind == "attachments":
            Attachment(**fields, file=ContentFile(b"x", name="x"), file_name="x.txt").save()
        else:
            Approval(**fields, decision="Approved").save()

    def add(kind: str, count: int) -> str:
        for _ in range(count):
            add_change() if kind == "changes" else add_addition(kind)
        return "/api/v1/changes/?search=Row" if kind == "changes" else f"/api/v1/changes/{change.number}/{kind}/"

    return add
