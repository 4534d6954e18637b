"""`manage.py generate_changes` creates many changes at once, in the same state as the models would."""

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Min, Q

from changes.choices import FINAL_PHASES, Phase
from changes.models import Approval, Change, Comment
from integrations.models import (
    DeliveryAttempt,
    Exchange,
    ExternalReference,
    ExternalSystem,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import ChangeFactory

WRITTEN = (Change, Comment, Approval, Exchange, ExternalReference, ExternalSystem, IncomingOperation, OutgoingOperation)


def generate(*options, count=600):
    call_command("generate_changes", f"--count={count}", *options, verbosity=0)


@pytest.fixture
def generated(transactional_db):
    """Needs `transactional_db`, since each batch is committed."""
    generate()


def test_so_many_changes_and_operations_are_made_as_are_asked_for(transactional_db):
    generate("--operations=900")
    assert Change.objects.count() == 600
    assert OutgoingOperation.objects.count() == 900
    assert Comment.objects.exists()
    assert IncomingOperation.objects.exists()
    assert DeliveryAttempt.objects.count() >= OutgoingOperation.objects.filter(status="Delivered").count()


def test_what_is_generated_could_have_come_from_the_models(generated):
    for change in Change.objects.all():
        change.full_clean(exclude=["phase"], validate_constraints=False)  # constraints that the database has checked
    is_open = ~Q(phase__in=FINAL_PHASES)
    assert 2 <= Change.objects.filter(is_open).count() <= 30
    assert not Change.objects.filter(phase=Phase.CLOSE, completion_code=None).exists()
    assert not Change.objects.filter(phase=Phase.DEPLOY, actual_start=None).exists()
    assert Change.history.values("id").annotate(records=Count("pk")).exclude(records=2).count() == 0
    exchanges = Exchange.objects.annotate(sent=Count("operations"), first=Min("operations__sequence"))
    assert exchanges.exists()
    assert {(row.last_sequence, row.first) for row in exchanges} == {(row.sent, 1) for row in exchanges}
    for row in exchanges:
        unsettled = row.operations.exclude(status="Delivered").order_by("sequence")
        assert [operation.is_next for operation in unsettled] == [True, *[False] * 999][: len(unsettled)]
    assert (
        not OutgoingOperation.objects.filter(status="Delivered").filter(Q(settled_at=None) | Q(is_next=True)).exists()
    )


@pytest.mark.any_database
def test_people_work_on_generated_changes_as_on_any_other(generated, page, signed_in_page, alice):
    change = Change.objects.filter(phase=Phase.LOG).first() or Change.objects.open().first()
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("Looked at it.")
    page.get_by_role("button", name="Add comment").click()
    page.get_by_text("Looked at it.").first.wait_for()
    assert change.comments.filter(body="Looked at it.").count() == 1
    # Records created afterwards get the next numbers.
    assert ChangeFactory().pk > change.pk


@pytest.mark.any_database
def test_a_database_with_changes_is_left_alone_unless_told(transactional_db):
    ChangeFactory()
    before = {model: model.objects.count() for model in WRITTEN}
    with pytest.raises(CommandError, match="--add"):
        generate()
    assert {model: model.objects.count() for model in WRITTEN} == before
    generate("--add", count=50)
    assert Change.objects.count() == 51


@pytest.mark.any_database
def test_settled_leaves_nothing_for_a_person(transactional_db):
    generate("--settled")
    assert set(OutgoingOperation.objects.values_list("status", flat=True)) == {"Delivered"}
    assert outbox.claim(10) == []


@pytest.mark.any_database
def test_partners_that_are_registered_can_be_named(transactional_db, acme):
    generate("--partners", "ACME", count=100)
    assert list(ExternalSystem.objects.all()) == [acme]
    assert {operation.system for operation in OutgoingOperation.objects.select_related("system")} == {acme}
    held = Change.objects.filter(owning_group__external_group__system=acme)
    assert held.exists()


@pytest.mark.any_database
@pytest.mark.parametrize("options", [["--count=0"], ["--count=10", "--operations=-1"]])
def test_numbers_that_make_no_sense_are_refused(transactional_db, options):
    with pytest.raises(CommandError, match="--count must be 1 or more"):
        call_command("generate_changes", *options)
    assert not Change.objects.exists()
    assert not ExternalSystem.objects.exists()
