"""Shared fixtures of the delivery tests: a change that a partner holds, and the state of its operations."""

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.models import OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory


@pytest.fixture
def change(acme, partner):
    """A change that ACME holds: its Assign is waiting."""
    return ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))


def comment(change, alice, body="Hello"):
    Comment(change=change, author=alice, body=body).save()


def due_now():
    OutgoingOperation.objects.filter(status="Waiting").update(next_try_at=timezone.now())


def first():
    return OutgoingOperation.objects.order_by("id").first()
