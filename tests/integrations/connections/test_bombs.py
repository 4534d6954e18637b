"""Templates that explode with the data of a change, which no reader can see: in a real drain, beside another system."""

from __future__ import annotations

import resource
import time

import pytest
from django.utils import timezone

from integrations.connections.document import faults_of
from integrations.models import OutgoingOperation
from integrations.outgoing import delivery
from tests.factories import ChangeFactory

from .conftest import connect, document_of

pytestmark = pytest.mark.django_db

TEXT = "a" * 100_000
LINES = "b a\n" * 5_000
MANY = 2500
# What of a step explodes, by the category of the change; and the reason of the refusal.
BOMBS = {
    "a body of 250 MB": (
        "json: [&text '{{ change.description }}'" + ", *text" * MANY + "]",
        "more than 8 MiB together",
    ),
    "an address of 250 MB": (
        "query: {a: [&more '{{ change.description }}'" + ", *more" * MANY + "]}",
        "more than 8 MiB together",
    ),
    "an hour of work": (
        "json: [&work '{{ range(change.title|int)|list|join|length }}'" + ", *work" * MANY + "]",
        "too much work together",
    ),
    "a loop in a loop": (
        "text: '{% for a in change.implementation_plan|lines %}{% for b in change.description|list %}{{ a in b }}"
        "{% endfor %}{% endfor %}'",
        "too much work",
    ),
    "a text in a text": ("text: \"{{ change.description|replace('a', change.description) }}\"", "too much work"),
}


def document(url: str) -> str:
    steps = "".join(
        f"""
    - name: bomb_{place}
      when: "{{{{ change.category == '{category}' }}}}"
      post: /tickets
      {keys}"""
        for place, (category, (keys, _)) in enumerate(BOMBS.items())
    )
    return f"base_url: {url}\noutgoing:\n  Assign:{steps}\n"


def given(system, **values):
    return ChangeFactory(owning_group=system.external_groups.get().group, **values)


def test_bombs_are_refused_at_once_while_the_operations_of_another_system_flow(acme, beta, desk):
    connect(acme, document(desk.url))
    connect(beta, document_of(desk), API_KEY="a-secret-key-9")
    given(acme)  # none of the steps is for it; the document is read for it
    delivery.drain()
    good = []
    for category in BOMBS:
        given(acme, category=category, title="6000", description=TEXT, implementation_plan=LINES)
        good.append(given(beta, title="Flows"))
    OutgoingOperation.objects.update(next_try_at=timezone.now())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.thread_time()
    delivery.drain()
    assert time.thread_time() - begun < len(BOMBS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * 1024
    bombs = OutgoingOperation.objects.filter(system=acme, change__category__in=BOMBS).order_by("change__id")
    assert [row.status for row in bombs] == ["Refused"] * len(BOMBS)
    for row, (_, reason) in zip(bombs, BOMBS.values(), strict=True):
        assert reason in row.last_error and "outgoing.Assign" in row.last_error
        assert TEXT[:50] not in row.last_error
    delivered = OutgoingOperation.objects.filter(change__in=good).values_list("status", flat=True)
    assert [*delivered] == ["Delivered"] * len(BOMBS)


def test_a_text_that_aliases_repeat_is_a_fault_of_the_document():
    steps = f"[{{name: a, post: /, json: [&a {'x' * 19_000}{', *a' * 99}]}}]"
    found = faults_of(f"base_url: https://x.example\noutgoing: {{Assign: {steps}}}")
    assert ["more than 1 MiB of text" in fault.message for fault in found] == [True]
