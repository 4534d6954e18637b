"""The number of queries of each page, including session and user: within its budget, and independent of the rows."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.choices import Role
from changes.models import Change, SupportGroup
from integrations.models import ConnectionDraft, ExternalSystem, IncomingOperation, OutgoingOperation

from .factories import UserFactory
from .mapped import DOCUMENT, make_mapped
from .pages import web

BUDGETS = {
    "/changes/": 11,
    "/changes/?q=server": 11,
    "/changes/?phase=Close&priority=Low&sort=title": 11,
    "/": 15,
    "/calendar/": 15,
    "/calendar/?view=month": 15,
    "/workflow/": 8,
    "/changes/{change}/": 17,
    "/changes/{change}/edit/": 15,
    "/changes/new/": 15,
    "/exchange/": 15,
    "/exchange/?direction=in": 15,
    "/exchange/{outgoing}/": 15,
    "/exchange/{incoming}/": 15,
    "/exchange/status/": 15,
    "/exchange/systems/{system}/connect/": 15,
    "/exchange/systems/{system}/ping/": 15,
    "/exchange/systems/new/": 15,
    "/exchange/systems/{mapped}/connection/": 15,
    "/exchange/systems/{mapped}/connection/replay/": 15,
    "/security-log/": 8,
}


@pytest.fixture
def boss(transactional_db, settings):
    # As it is by default: each page looks whether the person has the second factor that the role needs.
    settings.REQUIRE_SECOND_FACTOR_FOR = frozenset({Role.INTEGRATION_ADMINISTRATOR.value})
    boss = UserFactory(username="boss", roles=[Role.CHANGE_MANAGER, Role.INTEGRATION_ADMINISTRATOR])
    Authenticator.objects.create(user=boss, type=Authenticator.Type.TOTP, data={})
    # Records that are created once, on the first request, do not count for any page.
    call_command("generate_changes", count=1000, operations=4000, seed=2, verbosity=0)
    mapped = ExternalSystem.objects.exclude(pk=_shown().system_id).first()
    make_mapped(mapped)
    draft = DOCUMENT.replace("subject", "title")
    ConnectionDraft.objects.create(system=mapped, document=draft, saved_at=timezone.now())
    boss.support_groups.set(SupportGroup.objects.filter(external_group=None)[:5])
    return boss


def _shown() -> OutgoingOperation:
    incoming = IncomingOperation.objects.latest("change_id")
    return OutgoingOperation.objects.filter(change=incoming.change_id).latest("sequence")


def counted(client) -> dict[str, int]:
    """The number of queries of each page, for the newest change with operations in both directions."""
    outgoing = _shown()
    incoming = IncomingOperation.objects.select_related("change").filter(change=outgoing.change).latest("received_at")
    keys = {
        "mapped": ExternalSystem.objects.get(delivery="mapped"),
        "change": incoming.change.number,
        "incoming": incoming.pk,
        "outgoing": outgoing.pk,
        "system": outgoing.system,
    }
    counts = {}
    for address in BUDGETS:
        for _ in range(2):  # the first request fills caches of the process
            with CaptureQueriesContext(connection) as queries:
                answer = client.get(address.format(**keys))
        assert answer.status_code == 200, address
        counts[address] = len(queries)
    return counts


def test_no_page_takes_more_queries_for_more_rows(boss):
    client = web(boss)
    few = counted(client)
    call_command("generate_changes", count=1500, operations=7500, seed=3, add=True, verbosity=0)
    # One more change with many comments, operations and attempts.
    call_command("generate_changes", count=1, operations=150, seed=3, add=True, verbosity=0)
    newest = Change.objects.latest("pk")
    assert newest.comments.count() > 100
    assert newest.incoming_operations.exists()
    many = counted(client)
    over = {address: count for address, count in many.items() if count > BUDGETS[address]}
    assert over == {}
    grown = {address: (few[address], count) for address, count in many.items() if count > few[address]}
    assert grown == {}
