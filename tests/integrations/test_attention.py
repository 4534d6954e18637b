"""What needs attention is acknowledged by a person, and comes back when something new happens."""

import re

import pytest
from django.utils import timezone

from integrations.models import Acknowledgement, DeliveryControl, Exchange, ExternalSystem, OutgoingOperation
from integrations.outgoing import outbox
from tests.pages import web
from tests.rows import each_row

from .test_desk import NOTHING, ago, alter, came, give, needs_on, reject

pytestmark = pytest.mark.django_db


def desk(user):
    return web(user).get("/")


def seen(page, kind, record) -> str:
    """What the form on this page of the desk says of the record; "" if there is none."""
    form = rf'/exchange/attention/{kind}/{record.pk}/"[^>]*>.*?name="seen" value="([^"]*)"'
    found = re.search(form, page.content.decode(), re.DOTALL)
    return found[1] if found else ""


def acknowledge(user, kind, record, on=None, **form):
    """As this page shows it, or the desk of this person now, unless `seen` is given. Returns the desk after it."""
    if not form:
        form = {"seen": seen(on or desk(user), kind, record)}
    return web(user).post(f"/exchange/attention/{kind}/{record.pk}/", form, follow=True)


def shown(page) -> str:
    """What needs attention on a page of the desk, without what was acknowledged."""
    return needs_on(page).partition(" acknowledged ")[0]


@pytest.fixture
def records(acme):
    """One of each kind that needs attention: a refused and a late operation, a refused incoming one, a Reject."""
    _, refused = give(acme)
    alter(refused, status="Refused", claim=1, last_error="422")
    _, late = give(acme)
    alter(late, created_at=ago(minutes=20))
    change, _ = give(acme)
    failed = came(acme, change=change, error="No such phase.")
    rejected, _ = give(acme)
    reject(rejected, acme)
    return {
        "refused": ("outgoing", refused, "Refused by the partner"),
        "late": ("outgoing", late, "Waiting for a long time"),
        "failed": ("incoming", failed, "Refused incoming operations"),
        "rejected": ("exchange", Exchange.objects.get(change=rejected), "Rejected by partner: reassign"),
    }


@pytest.mark.any_database
@pytest.mark.parametrize("name", ["refused", "late", "failed", "rejected"])
def test_what_somebody_acknowledged_is_folded_for_all_and_says_by_whom(records, alice, carol, name):
    kind, record, heading = records[name]
    page = desk(alice)
    assert heading in shown(page)
    answer = acknowledge(alice, kind, record, on=page)
    assert "You have acknowledged it. It comes back when something new happens." in answer.content.decode()
    for page in (answer, desk(carol)):
        assert heading not in shown(page)
        assert "1 acknowledged" in needs_on(page)
        assert "by alice, " in needs_on(page)
    for other, (_kind, _record, others) in records.items():
        assert other == name or others in shown(answer)
    acknowledge(carol, kind, record, undo="1")
    assert heading in shown(desk(alice))
    assert not Acknowledgement.objects.exists()


def acknowledge_all(user, records):
    """Returns the desk after it."""
    page = desk(user)
    for kind, record, _heading in records.values():
        page = acknowledge(user, kind, record, on=page)
    return page


def test_when_all_is_acknowledged_nothing_is_stuck_any_more(records, alice):
    page = acknowledge_all(alice, records)
    assert NOTHING in shown(page)
    assert "4 acknowledged" in needs_on(page)


def test_it_comes_back_when_something_new_happens(records, alice):
    acknowledge_all(alice, records)
    refused, late = records["refused"][1], records["late"][1]
    alter(refused, status="Waiting", created_at=ago(minutes=1))  # retried
    alter(refused, status="Refused", claim=2)
    alter(late, tries=3, claim=3)  # a failed try of what waits is nothing new
    page = desk(alice)
    assert "Refused by the partner" in shown(page)
    assert "Waiting for a long time" not in shown(page)
    OutgoingOperation.objects.filter(pk=late.pk).update(status="Refused")
    exchange = records["rejected"][1]
    exchange.state = exchange.state.after_reject()
    exchange.rejected_at_sequence += 1  # given to it again, and rejected again
    exchange.last_sequence += 1
    exchange.save()
    page = desk(alice)
    assert "Refused by the partner 2" in shown(page)
    assert "Rejected by partner: reassign" in shown(page)
    assert "Refused incoming operations" not in shown(page)


CHANGED = "It has changed: look again."


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("late", {"status": "Refused", "claim": 4}),
        ("refused", {"claim": 2}),
        ("refused", {"status": "Waiting", "created_at": ago(hours=9)}),
        ("rejected", {"rejected_at_sequence": 9, "last_sequence": 9}),
    ],
)
def test_what_is_newer_than_the_page_is_not_acknowledged(records, alice, name, values):
    kind, record, _heading = records[name]
    old = seen(desk(alice), kind, record)
    alter(record, **values)
    assert CHANGED in acknowledge(alice, kind, record, seen=old).content.decode()
    assert CHANGED in acknowledge(alice, kind, record, seen="").content.decode()
    assert not Acknowledgement.objects.exists()
    assert "You have acknowledged it." in acknowledge(alice, kind, record).content.decode()


@pytest.mark.any_database
def test_what_needs_no_attention_or_is_not_shown_cannot_be_acknowledged(records, acme, alice, carol, ingrid):
    alter(records["refused"][1], status="Delivered")
    alter(records["late"][1], created_at=ago(minutes=1))
    aside = came(acme, error="Unreadable.")
    marks = {"refused": "Refused-1", "late": "Waiting-0"}
    for kind, record, mark in [
        *((*records[name][:2], mark) for name, mark in marks.items()),
        ("incoming", aside, "Failed-0"),
    ]:
        assert acknowledge(alice, kind, record, seen=mark).status_code == 404
    assert not Acknowledgement.objects.exists()
    acknowledge(ingrid, "incoming", aside)
    folded = ["1 acknowledged" in needs_on(desk(person)) for person in (ingrid, alice)]
    assert folded == [True, False]
    assert acknowledge(alice, "incoming", aside, undo="1").status_code == 404
    assert Acknowledgement.objects.count() == 1


@pytest.mark.any_database
@pytest.mark.parametrize("cause", ["retried by hand", "paused", "breaker"])
def test_a_new_long_wait_needs_attention_again(records, alice, cause):
    late = records["late"][1]
    assert "Waiting for a long time" not in shown(acknowledge(alice, "outgoing", late))
    if cause == "paused":
        ExternalSystem.objects.update(paused_at=timezone.now(), pause_status=401)
    elif cause == "breaker":
        DeliveryControl.objects.update(breaker="Open", breaker_opened_at=timezone.now())
    else:
        alter(late, status="Refused", claim=1)
        late.refresh_from_db()
        outbox.retry_now(late)
    page = desk(alice)
    assert "Waiting for a long time" in shown(page)
    assert "Waiting for a long time" not in shown(acknowledge(alice, "outgoing", late, on=page))


STOPPED = "Operations are not collected"
# What happens after the acknowledgement: when it last asked, how old what waits for it is; whether it is shown again.
AFTERWARDS = [
    ("nothing happens", 180, 120, False),
    ("it asked, and stopped again", 61, 120, True),
    ("it asks, but does not confirm", 1, 120, True),
    ("it collects again", 1, 1, False),
]


@pytest.fixture
def silent(acme):
    """A partner that collects, which last asked three hours ago."""
    give(acme)
    ExternalSystem.objects.update(delivery="pull")
    stand(180, 120)
    return acme


def stand(asked, waits):
    """In minutes before now."""
    DeliveryControl.objects.update(asked_at=ago(minutes=asked), first_delivered_at=ago(hours=9))
    OutgoingOperation.objects.update(created_at=ago(minutes=waits), status="Sending")


@each_row(("_what", "asked", "waits", "is_shown"), AFTERWARDS)
def test_that_operations_are_not_collected_is_acknowledged_until_it_happens_anew(
    silent, alice, carol, _what, asked, waits, is_shown
):
    page = desk(alice)
    assert STOPPED in shown(page)
    assert "You have acknowledged it." in acknowledge(alice, "system", silent, on=page).content.decode()
    Acknowledgement.objects.update(at=ago(minutes=90))
    for page in map(desk, (alice, carol)):
        assert NOTHING in shown(page)
        assert "ACME does not collect its operations" in needs_on(page)
        assert "by alice, " in needs_on(page)
    stand(asked, waits)
    page = desk(alice)
    assert (STOPPED in shown(page)) is is_shown
    acknowledge(alice, "system", silent, on=page)
    assert STOPPED not in shown(desk(alice))


@pytest.mark.any_database
def test_that_operations_are_not_collected_is_shown_again_on_demand(silent, alice, audrey):
    acknowledge(alice, "system", silent)
    acknowledge(alice, "system", silent, undo="1")
    page = desk(alice)
    assert STOPPED in shown(page)
    old = seen(page, "system", silent)
    stand(1, 120)
    page = acknowledge(alice, "system", silent, seen=old)
    assert CHANGED in page.content.decode()
    assert seen(desk(audrey), "system", silent) == ""
    assert acknowledge(audrey, "system", silent, seen=seen(page, "system", silent)).status_code == 403
    stand(1, 1)
    assert acknowledge(alice, "system", silent, seen=old).status_code == 404
    assert not Acknowledgement.objects.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("address", ["outgoing/nonsense", "incoming/1", "exchange/x", "exchange/999999", "system/1"])
def test_what_does_not_exist_cannot_be_acknowledged(alice, address):
    assert web(alice).post(f"/exchange/attention/{address}/").status_code == 404
    assert not Acknowledgement.objects.exists()


@pytest.mark.any_database
def test_refused_incoming_operations_are_shown_to_those_who_can_do_something(acme, alice, carol, ingrid, audrey):
    change, _ = give(acme)
    came(acme, change=change, error="No such phase.")
    came(acme, error="Unreadable.")
    for person, sees in ((alice, {"phase"}), (carol, {"phase"}), (ingrid, {"phase", "Unreadable"}), (audrey, set())):
        said = needs_on(desk(person))
        assert {word for word in ("phase", "Unreadable") if word in said} == sees, person.username
