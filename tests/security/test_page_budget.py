"""The largest and slowest pages that a partner can make: long texts, altered again and again, and long comments."""

from __future__ import annotations

import random
import time

import pytest
from django.test import Client

from integrations.models import ExternalReference
from tests.factories import ChangeFactory

OPERATIONS = "/api/v1/operations/"
TEXTS = ("description", "reason", "justification", "implementation_plan", "backout_plan")


def passages(seed):
    """100,000 characters that are hard to compare: many short passages of two words between lines that stay."""
    chance = random.Random(seed)
    lines = (f"S{number}\n" + " ".join(chance.choice("ab") for _ in range(95)) for number in range(510))
    return "\n".join(lines)[:100_000]


@pytest.fixture
def worst(acme, partner_api):
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    ExternalReference.objects.create(change=change, system=acme, external_id="A-1")
    client = partner_api(acme)
    versions = [passages(1), passages(2)]
    for number in range(32):
        body = {"system_id": "ACME", "operation": "Update", "external_id": "A-1"}
        body["properties"] = dict.fromkeys(TEXTS, versions[number % 2])
        body["comments"] = [{"body": versions[number % 2]}]
        answer = client.post(OPERATIONS, body, format="json")
        assert answer.status_code == 200, answer.content
    return change


PAGES = {"the change": "", "its form": "edit/", "its history in the admin": "admin"}


@pytest.mark.parametrize("name", PAGES)
def test_timing(worst, ingrid, alice, name):
    user = alice
    user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    path = (
        f"/changes/{worst.number}/{PAGES[name]}"
        if PAGES[name] != "admin"
        else f"/admin/changes/change/{worst.pk}/history/"
    )
    begun = time.process_time()
    answer = client.get(path)
    print(name, answer.status_code, len(answer.content), round(time.process_time() - begun, 2))
