"""Rules for every save of a change: versions, history, additions that cannot be edited."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from changes.actor import acting
from changes.choices import Impact, Priority, Urgency
from changes.exceptions import ConditionsUnmet, StaleChange
from changes.models import Approval, Attachment, Change, Comment
from tests.factories import ChangeFactory, UserFactory, change_in
from tests.threads import at_once


@pytest.mark.django_db
class TestVersions:
    def test_a_save_that_alters_nothing_leaves_the_record_alone(self):
        change = ChangeFactory()
        before = Change.objects.values().get()
        change.save()
        Change.objects.get().save()
        assert Change.objects.values().get() == before
        assert change.history.count() == 1

    def test_each_altering_save_counts_one(self):
        change = ChangeFactory()
        for number in (2, 3, 4):
            change.title = f"Title {number}"
            change.save()
            assert change.version == number

    def test_a_comment_or_attachment_leaves_the_version(self):
        change = ChangeFactory()
        alice = UserFactory(username="alice")
        Comment(change=change, author=alice, body="Hello").save()
        Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt").save()
        assert Change.objects.get().version == change.version == 1

    def test_a_stale_save_is_refused_with_what_the_other_person_changed(self):
        ChangeFactory(title="First")
        mine, theirs = Change.objects.get(), Change.objects.get()
        bob = UserFactory(username="bob")
        with acting(bob):
            theirs.title, theirs.risk = "Theirs", "High"
            theirs.save()
        mine.description = "Mine"
        with pytest.raises(StaleChange) as refused:
            mine.save()
        edits = refused.value.edits
        assert {field: (edit.old, edit.new, edit.user) for field, edit in edits.items()} == {
            "title": ("First", "Theirs", "bob"),
            "risk": ("Low", "High", "bob"),
        }
        stored = Change.objects.get()
        assert (stored.title, stored.description) == ("Theirs", "The core switch is out of support.")

    def test_a_partial_save_writes_only_its_fields(self):
        change = ChangeFactory()
        change.title, change.description = "New", "Not to be written"
        change.save(update_fields=["title"])
        stored = Change.objects.get()
        assert (stored.title, stored.description) == ("New", "The core switch is out of support.")


@pytest.mark.django_db
class TestValidity:
    @pytest.mark.parametrize("title", ["", "   "])
    def test_only_a_title_is_needed(self, title):
        with pytest.raises(ValidationError):
            Change(title=title).save()
        Change(title="Enough").save()
        assert Change.objects.count() == 1

    @pytest.mark.parametrize("hours", [0, -1])
    def test_planned_end_comes_after_planned_start(self, hours):
        change = ChangeFactory()
        before = change.planned_end
        change.planned_end = change.planned_start + timedelta(hours=hours)
        with pytest.raises(ValidationError) as refused:
            change.save()
        assert list(refused.value.message_dict) == ["planned_end"]
        assert Change.objects.get().planned_end == before

    def test_actual_end_is_not_before_actual_start(self):
        change = ChangeFactory(actual_start=timezone.now())
        change.actual_end = change.actual_start - timedelta(seconds=1)
        with pytest.raises(ValidationError) as refused:
            change.save()
        assert list(refused.value.message_dict) == ["actual_end"]


@pytest.mark.django_db
class TestHistory:
    def test_it_keeps_who_when_and_the_system_they_act_for(self):
        change = ChangeFactory(title="Old")
        partner = UserFactory(username="acme-integration")
        with acting(partner, "ACME"):
            change.title = "New"
            change.save()
        last, first = change.history.all()
        assert (first.title, last.title) == ("Old", "New")
        assert (last.history_user, last.source_system) == (partner, "ACME")
        assert first.source_system is None
        assert last.history_date >= first.history_date

    def test_edits_since_a_version_add_up(self):
        change = ChangeFactory(title="A")
        for title, risk in (("B", "High"), ("C", "Low")):
            change.title, change.risk = title, risk
            change.save()
        edits = change.edits_since(1)
        assert {field: (edit.old, edit.new) for field, edit in edits.items()} == {"title": ("A", "C")}


@pytest.mark.django_db
class TestAdditions:
    def additions(self):
        alice = UserFactory(username="alice")
        change = change_in("ApprovePlan")
        comment = Comment(change=change, author=alice, body="Hello")
        comment.save()
        attachment = Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt")
        attachment.save()
        return comment, attachment

    def test_they_are_never_edited_or_deleted(self):
        for addition in self.additions():
            addition.author_name = "Somebody else"
            with pytest.raises(TypeError):
                addition.save()
            with pytest.raises(TypeError):
                addition.delete()
            assert type(addition).objects.get(pk=addition.pk).author_name == ""

    def test_an_attachment_is_streamed_with_size_and_checksum(self):
        _, attachment = self.additions()
        assert (attachment.size, attachment.sha256[:12]) == (1, "2d711642b726")
        with attachment.file.open() as file:
            assert file.read() == b"x"
        assert "x.txt" not in attachment.file.name

    @pytest.mark.parametrize(
        ("content", "name", "field"),
        [(b"", "empty.txt", "empty"), (b"x" * 33, "large.bin", "33 bytes")],
    )
    def test_an_empty_or_too_large_one_is_refused(self, settings, content, name, field):
        settings.ATTACHMENT_MAX_BYTES = 32
        change = ChangeFactory()
        with pytest.raises(ValidationError, match=field):
            Attachment(
                change=change,
                author=UserFactory(username="alice"),
                file=ContentFile(content, name=name),
                file_name=name,
            ).save()
        assert not Attachment.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_of_two_writers_one_wins_and_the_other_is_told(self):
        change = ChangeFactory()
        copies = [Change.objects.get(pk=change.pk) for _ in range(4)]

        def write(copy, title):
            copy.title = title
            copy.save()
            return title

        works = [lambda copy=copy, n=n: write(copy, f"Writer {n}") for n, copy in enumerate(copies)]
        results = at_once(*works, keep_errors=True)
        winners = [result for result in results if isinstance(result, str)]
        assert len(winners) == 1
        assert sum(isinstance(result, StaleChange) for result in results) == 3
        stored = Change.objects.get()
        assert (stored.title, stored.version) == (winners[0], 2)

    def test_the_old_value_is_what_the_database_held(self):
        """Each writer reads under the lock, so each old value equals the new value before it."""
        ChangeFactory(title="0")
        seen = []

        def write(name):
            for step in range(5):
                with transaction.atomic():
                    change = Change.objects.select_for_update().get()
                    change.title = f"{name}{step}"
                    change.save()
                    seen.append((change.version, change.changed_fields["title"]))

        results = at_once(lambda: write("a"), lambda: write("b"))
        assert results == [None, None]
        chain = [edit for _, edit in sorted(seen, key=lambda item: item[0])]
        assert chain[0].old == "0"
        assert all(before.new == after.old for before, after in pairwise(chain))
        assert Change.objects.get().version == 11


@pytest.mark.django_db
class TestNoWayAroundSave:
    def test_a_record_is_not_written_over_by_its_key(self):
        change = change_in("Close")
        with pytest.raises(IntegrityError), transaction.atomic():
            Change(pk=change.pk, title="Hijacked", created_at=timezone.now()).save()
        assert Change.objects.get().title == change.title

    def test_an_addition_is_not_written_over_by_its_key(self):
        alice = UserFactory(username="alice")
        comment = Comment(change=ChangeFactory(), author=alice, body="Mine")
        comment.save()
        with pytest.raises(IntegrityError), transaction.atomic():
            Comment(pk=comment.pk, change=comment.change, author=alice, body="Other", created_at=timezone.now()).save()
        assert Comment.objects.get().body == "Mine"

    def test_nothing_is_deleted_in_bulk(self):
        alice = UserFactory(username="alice")
        Comment(change=ChangeFactory(), author=alice, body="Mine").save()
        for model in (Comment, Change):
            with pytest.raises(TypeError):
                model.objects.all().delete()
        with pytest.raises(TypeError):
            Change._base_manager.update(title="Other")
        assert Comment.objects.count() == 1

    def test_a_save_that_was_rolled_back_leaves_the_instance_stale(self):
        mine = ChangeFactory(title="First")
        with pytest.raises(RuntimeError), transaction.atomic():
            mine.title = "Rolled back"
            mine.save()
            raise RuntimeError
        theirs = Change.objects.get()
        theirs.title = "Theirs"
        theirs.save()
        mine.title = "Mine"
        with pytest.raises(StaleChange):
            mine.save()
        assert Change.objects.get().title == "Theirs"

    def test_reading_the_version_alone_makes_no_instance_fresh(self):
        ChangeFactory(title="First")
        mine, theirs = Change.objects.get(), Change.objects.get()
        theirs.title = "Theirs"
        theirs.save()
        mine.refresh_from_db(fields=["version"])
        mine.risk = "High"
        with pytest.raises(StaleChange):
            mine.save()

    def test_conditions_hold_for_what_is_stored_not_for_what_was_shown(self):
        """Somebody denies the plan between the transition and the save."""
        change = change_in("ApprovePlan")
        Approval(change=change, author=UserFactory(username="carol"), decision="Approved").save()
        change.move_to("Deploy")
        Approval(change=change, author=UserFactory(username="chris"), decision="Denied", comment="No").save()
        with pytest.raises(ConditionsUnmet):
            change.save()
        assert Change.objects.get().phase == "ApprovePlan"

    def test_conditions_hold_for_the_fields_that_are_saved(self):
        change = ChangeFactory(description="")
        change.description = "Only in memory"
        change.move_to("Evaluate")
        with pytest.raises(ConditionsUnmet):
            change.save(update_fields=["phase"])
        stored = Change.objects.get()
        assert (stored.phase, stored.description) == ("Log", "")

    def test_conditions_hold_for_edits_after_the_transition(self):
        change = ChangeFactory(completion_code="Withdrawn")
        change.move_to("Abandon")
        change.completion_code = "Successful"
        with pytest.raises(ConditionsUnmet):
            change.save()
        assert Change.objects.get().phase == "Log"

    def test_a_partial_save_of_the_phase_keeps_what_the_transition_filled_in(self):
        change = change_in("Plan", "Standard")
        change.move_to("Deploy")
        change.save(update_fields=["phase"])
        stored = Change.objects.get()
        assert (stored.phase, stored.actual_start is not None) == ("Deploy", True)

    def test_entering_deploy_with_an_actual_end_in_the_past_is_possible(self):
        end = timezone.now() - timedelta(hours=1)
        change = change_in("Plan", "Standard", actual_end=end)
        change.move_to("Deploy")
        change.save()
        assert (change.actual_start, change.actual_end) == (end, end)


PRIORITIES = """
                    Enterprise  SiteOrDepartment  MultipleUsers  SingleUser
TotalLossOfService  Critical    High              High           Medium
SevereDisruption    High        High              Medium         Medium
SlightDisruption    High        Medium            Medium         Low
NoDisruption        Medium      Medium            Low            Low
"""


@pytest.mark.django_db
def test_the_priority_follows_urgency_and_business_impact():
    header, *rows = PRIORITIES.strip().splitlines()
    impacts = header.split()
    assert sorted(impacts) == sorted(Impact.values)
    assert [row.split()[0] for row in rows] == Urgency.values
    change = ChangeFactory()
    for row in rows:
        urgency, *priorities = row.split()
        for impact, priority in zip(impacts, priorities, strict=True):
            change.urgency, change.business_impact = urgency, impact
            change.priority = Priority.CRITICAL if priority != "Critical" else Priority.LOW  # cannot be set
            change.save()
            change.refresh_from_db()
            assert (urgency, impact, change.priority) == (urgency, impact, priority)


@pytest.mark.django_db
def test_the_defaults_in_log():
    change = Change(title="Only a title")
    change.save()
    assert (change.business_impact, change.urgency, change.phase) == ("SingleUser", "SlightDisruption", "Log")
