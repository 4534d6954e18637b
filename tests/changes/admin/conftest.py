"""Shared fixtures of the admin tests: a superuser, and a change with the address of its admin page."""

import pytest

from tests.factories import ChangeFactory, UserFactory

LIST = "/admin/changes/change/"


def page_of(change):
    return f"{LIST}{change.pk}/change/"


@pytest.fixture
def change(alice):
    return ChangeFactory(title="Replace core switch", requested_by=alice)


@pytest.fixture
def root(db):
    return UserFactory(username="root", is_superuser=True, is_staff=True)
