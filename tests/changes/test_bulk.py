"""Bulk actions on changes: chosen, previewed, carried out one by one, with a result for each."""

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.bulk import running
from changes.choices import Phase, Role
from changes.models import BulkItem, BulkJob, Change, Comment
from changes.pages.list.paging import SORTS
from integrations import tasks
from integrations.models import Exchange, OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.pages import text, web
from tests.threads import at_once

ALL = {"scope": "all"}


def choose(client, kind, changes, query=""):
    """Ticks these changes in the list, and presses the button of this action. Returns the address of its form."""
    scope = ALL if changes == "all" else {"scope": "ticked", "change": [change.number for change in changes]}
    response = client.post(f"/changes/bulk/{kind}/", {"query": query, **scope})
    assert response.status_code == 302
    return response["Location"]


def previewed(client, kind, changes, query="", **fields):
    """The preview of a job; its address is in `response.job`."""
    response = client.post(choose(client, kind, changes, query), {"preview": "1", **fields})
    assert response.status_code == 302, text(response)
    page = client.get(response["Location"])
    page.job = response["Location"]
    return page


def started(client, kind, changes, **fields):
    page = previewed(client, kind, changes, **fields)
    client.post(f"{page.job}start/")
    return page.job


def work():
    """What a worker does until nothing is left."""
    while running.run(60):
        pass


def done(client, kind, changes, **fields):
    """The page of a job that was carried out."""
    address = started(client, kind, changes, **fields)
    work()
    return text(client.get(address))


def statuses():
    return [item.status for item in BulkItem.objects.order_by("job", "position")]


def sent(change):
    rows = change.outgoing_operations.order_by("pk").values_list("operation", "system__system_id")
    return [f"{operation} to {system}" for operation, system in rows]


@pytest.fixture
def network(db):
    return SupportGroupFactory(name="Network")


@pytest.fixture
def storage(db):
    return SupportGroupFactory(name="Storage")


@pytest.fixture
def acme_group(acme):
    return acme.external_groups.get().group


@pytest.fixture
def beta_group(beta):
    return beta.external_groups.get().group


# --- Choosing ---


def test_the_form_names_the_chosen_changes(alice):
    changes = [ChangeFactory(title=f"Change {n}") for n in range(14)]
    said = text(web(alice).get(choose(web(alice), "reassign", changes)))
    assert "14 changes are chosen" in said
    assert f"{changes[-1].number} Change 13" in said
    assert "and 2 more" in said


def test_all_that_match_the_filters_of_the_list_can_be_chosen(alice):
    wanted = ChangeFactory(title="Wanted one")
    ChangeFactory(title="Another")
    said = text(web(alice).get(choose(web(alice), "comment", "all", "q=wanted")))
    assert "1 change is chosen" in said
    assert wanted.number in said


@pytest.mark.parametrize("sort", [sign + name for name in SORTS for sign in ("", "-")] + ["", "nothing"])
def test_all_that_match_are_those_of_the_list_and_of_the_export_in_every_order(alice, sort):
    planned, unplanned = (
        ChangeFactory(title="Wanted one"),
        ChangeFactory(title="Wanted", planned_start=None, planned_end=None),
    )
    query = f"q=wanted&sort={sort}"
    listed = re.findall(r"/changes/(CHG[0-9]+)/\"", web(alice).get(f"/changes/?{query}").content.decode())
    exported = b"".join(web(alice).get(f"/changes/export.csv?{query}").streaming_content).decode()
    form = web(alice).get(choose(web(alice), "comment", "all", query))
    chosen = {change.number for change in form.context["selection"].changes}
    both = {planned.number, unplanned.number}
    assert chosen == ({planned.number} if "planned_start" in sort else both)
    assert chosen == set(listed) == {number for number in both if number in exported}


def test_above_the_cap_nothing_is_done_and_the_page_says_so(alice, network, monkeypatch):
    monkeypatch.setattr("changes.bulk.selection.LARGEST", 3)
    monkeypatch.setattr("changes.bulk.views.LARGEST", 3)
    for _ in range(4):
        ChangeFactory()
    client = web(alice)
    form = choose(client, "reassign", "all")
    assert "More than 3 changes match" in text(client.get(form))
    assert "More than 3 changes match" in text(client.post(form, {"preview": "1", "group": network.pk}))
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("scope", ["ticked", "all"])
def test_with_nothing_chosen_the_list_comes_back_and_says_so(alice, scope):
    response = web(alice).post("/changes/bulk/reassign/", {"scope": scope, "query": "q=x"}, follow=True)
    assert response.redirect_chain[-1][0] == "/changes/?q=x"
    assert ("Tick at least one change first." if scope == "ticked" else "No change matches.") in text(response)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("reassign", {"alice", "carol"}), ("comment", {"alice", "carol"}), ("abandon", {"carol"})],
)
def test_who_may_do_it_to_one_change_may_do_it_to_many(alice, carol, ingrid, audrey, kind, allowed):
    change = ChangeFactory(title="Replace core switch")
    for person in (alice, carol, ingrid, audrey):
        answer = web(person).post(f"/changes/bulk/{kind}/", {"scope": "ticked", "change": change.number, "query": ""})
        assert answer.status_code == (302 if person.username in allowed else 403)
        form = web(person).get(f"/changes/bulk/{kind}/?change={change.number}")
        assert form.status_code == (200 if person.username in allowed else 403)


def test_an_unknown_action_answers_404(alice):
    assert web(alice).get("/changes/bulk/delete/?change=CHG0000001").status_code == 404


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("reassign", {"group": ""}, "Choose a group, or No group."),
        ("reassign", {"group": "999999"}, "There is no such group."),
        ("comment", {"body": "  ", "visibility": "public"}, "Write something first."),
        ("comment", {"body": "Hello", "visibility": "secret"}, "Who reads it"),
        ("abandon", {}, "Choose Withdrawn or Rejected."),
        ("abandon", {"code": "Successful"}, "Completion code"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_kept(carol, kind, fields, said):
    client = web(carol)
    response = client.post(choose(client, kind, [ChangeFactory()]), {"preview": "1", **fields})
    assert response.status_code == 200
    assert "Not previewed" in text(response)
    assert said in text(response)
    assert not BulkJob.objects.exists()


# --- The preview ---


def test_the_preview_says_what_each_partner_gets_and_what_each_change_sends(alice, network, acme_group, beta_group):
    ours = ChangeFactory(owning_group=network)
    theirs = ChangeFactory(owning_group=beta_group)
    there = ChangeFactory(owning_group=acme_group)
    closed = change_in(Phase.CLOSE, owning_group=network)
    said = text(previewed(web(alice), "reassign", [ours, theirs, there, closed], group=acme_group.pk))
    assert "Reassign to ACME Networks?" in said
    assert "2 changes can be done 1 is so already 1 cannot be done" in said
    assert "ACME 2 Assign BETA 1 Accept" in said
    assert f"{theirs.number} Replace core switch Log BETA Servers Accept to BETA Assign to ACME" in said
    assert f"{ours.number} Replace core switch Log Network Assign to ACME" in said
    assert "ACME Networks has it already." in said
    assert "It is in Close: its fields are read-only." in said
    assert "Reassign 2 changes" in said
    assert [sent(change) for change in (ours, theirs)] == [[], ["Assign to BETA"]]


def test_the_preview_of_a_private_comment_says_that_no_partner_hears_of_it(alice, acme_group):
    change = ChangeFactory(owning_group=acme_group)
    said = text(previewed(web(alice), "comment", [change], body="Between us", visibility="private"))
    assert "Nothing: no partner hears of it." in said
    said = text(previewed(web(alice), "comment", [change], body="For all", visibility="public"))
    assert "ACME 1 Update" in said


def test_the_preview_of_abandoning_says_why_one_cannot_be(carol, network, acme_group):
    at_partner = ChangeFactory(owning_group=acme_group)
    deployed = change_in(Phase.DEPLOY, owning_group=network)
    said = text(previewed(web(carol), "abandon", [at_partner, deployed], code="Withdrawn"))
    assert "ACME 1 Cancel" in said
    assert "Normal changes have no transition from Deploy to Abandon." in said
    said = text(previewed(web(carol), "abandon", [at_partner], code="Rejected"))
    assert "Nothing: no partner hears of it." in said


def test_where_nothing_can_be_done_nothing_can_be_started(carol):
    page = previewed(web(carol), "abandon", [change_in(Phase.DEPLOY)], code="Withdrawn")
    assert "/start/" not in page.content.decode()


def test_the_preview_makes_as_many_queries_for_many_changes_as_for_few(carol, acme_group, beta_group):
    client = web(carol)
    changes = [ChangeFactory(owning_group=[acme_group, beta_group][n % 2]) for n in range(40)]
    counts = []
    for some in (changes[:2], changes):
        for kind, fields in (
            ("reassign", {"group": beta_group.pk}),
            ("comment", {"body": "Hello", "visibility": "public"}),
            ("abandon", {"code": "Withdrawn"}),
        ):
            page = previewed(client, kind, some, **fields)
            with CaptureQueriesContext(connection) as queries:
                client.get(page.job)
            counts.append(len(queries))
    assert counts[:3] == counts[3:]
    assert max(counts) <= 12


@pytest.mark.parametrize("how", ["reassign", "comment", "abandon", "withdraw"])
def test_the_preview_says_what_is_then_really_sent(carol, acme, beta, network, acme_group, beta_group, how):
    """Whatever the exchange of the change has been through."""
    changes = []
    for group in (network, acme_group, beta_group):
        plain = ChangeFactory(owning_group=group)
        moved = ChangeFactory(owning_group=acme_group)
        moved.owning_group = group
        moved.save()
        rejected = ChangeFactory(owning_group=group)
        for exchange in Exchange.objects.filter(change=rejected):
            exchange.state = exchange.state.after_reject()
            exchange.save()
        cancelled = ChangeFactory(owning_group=group)
        cancelled.completion_code = "Withdrawn"
        cancelled.save()
        changes += [plain, moved, rejected, cancelled]
    kind, fields = {
        "reassign": ("reassign", {"group": beta_group.pk}),
        "comment": ("comment", {"body": "Hello", "visibility": "public"}),
        "abandon": ("abandon", {"code": "Rejected"}),
        "withdraw": ("abandon", {"code": "Withdrawn"}),
    }[how]
    page = previewed(web(carol), kind, changes, **fields)
    foreseen = {row.change.pk: [f"{s.operation} to {s.system}" for s in row.sent] for row in page.context["rows"]}
    before = {change.pk: len(sent(change)) for change in changes}
    web(carol).post(f"{page.job}start/")
    work()
    assert {change.pk: sent(change)[before[change.pk] :] for change in changes} == foreseen
    assert any(foreseen.values()) or how == "abandon"


# --- Carrying it out ---


def test_reassigned_changes_say_from_where_to_where_and_who_did_it(alice, network, storage):
    changes = [ChangeFactory(owning_group=network), ChangeFactory(owning_group=None)]
    said = done(web(alice), "reassign", changes, group=storage.pk)
    assert "Finished 2 of 2" in said
    assert "It went from Network to Storage." in said
    assert "It had no group and went to Storage." in said
    assert {change.owning_group for change in Change.objects.all()} == {storage}
    assert {change.history.first().history_user for change in changes} == {alice}


def test_changes_can_be_taken_from_their_group(alice, network, acme_group):
    change = ChangeFactory(owning_group=acme_group)
    said = done(web(alice), "reassign", [change, ChangeFactory(owning_group=None)], group="none")
    assert "It has no group." in said
    assert "It was taken from ACME Networks." in said
    assert sent(change) == ["Assign to ACME", "Accept to ACME"]
    assert [row.owning_group for row in Change.objects.all()] == [None, None]


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_each_change_gets_the_comment_once(alice, acme_group, visibility):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(3)]
    done(web(alice), "comment", changes, body="Line 1\r\nLine 2", visibility=visibility)
    for change in changes:
        comment = change.comments.get()
        assert (comment.author, comment.body, comment.visibility) == (alice, "Line 1\nLine 2", visibility)
        assert sent(change) == ["Assign to ACME", *(["Update to ACME"] if visibility == "public" else [])]


@pytest.mark.parametrize(("code", "operations"), [("Withdrawn", ["Cancel to ACME"]), ("Rejected", [])])
def test_abandoned_changes_have_the_code_and_the_phase(carol, acme_group, code, operations):
    change = ChangeFactory(owning_group=acme_group)
    said = done(web(carol), "abandon", [change], code=code)
    assert "It went from Log to Abandon." in said
    change.refresh_from_db()
    assert (change.phase, change.completion_code) == ("Abandon", code)
    assert sent(change) == ["Assign to ACME", *operations]


def test_one_that_cannot_be_done_does_not_keep_the_others(carol, network):
    changes = [change_in(Phase.LOG), change_in(Phase.DEPLOY), change_in(Phase.ABANDON), change_in(Phase.PLAN)]
    said = done(web(carol), "abandon", changes, code="Withdrawn")
    assert sorted(statuses()) == ["done", "done", "failed", "unchanged"]
    assert "Normal changes have no transition from Deploy to Abandon." in said
    assert "It was abandoned as Withdrawn already." in said
    assert "2 done 1 so already 1 not done" in said
    deployed = Change.objects.get(pk=changes[1].pk)
    assert (deployed.phase, deployed.completion_code) == ("Deploy", None)


def test_a_change_that_moved_on_since_the_preview_is_left_alone_and_says_who_did_it(alice, carol, network, storage):
    change, other = ChangeFactory(owning_group=network), ChangeFactory(owning_group=network)
    page = previewed(web(alice), "reassign", [change, other], group=storage.pk)
    from changes.actor import acting

    with acting(carol):
        moved = Change.objects.get(pk=change.pk)
        moved.title = "Carol's title"
        moved.save()
    assert "It was changed by carol since it was chosen (Title)." in text(web(alice).get(page.job))
    web(alice).post(f"{page.job}start/")
    work()
    said = text(web(alice).get(page.job))
    assert "It was changed by carol since the preview (Title). Look at it again." in said
    assert Change.objects.get(pk=change.pk).owning_group == network
    assert Change.objects.get(pk=other.pk).owning_group == storage


def test_a_comment_is_added_also_to_a_change_that_moved_on(alice, network):
    change = ChangeFactory()
    page = previewed(web(alice), "comment", [change], body="Hello", visibility="public")
    change.title = "Another"
    change.save()
    web(alice).post(f"{page.job}start/")
    work()
    assert statuses() == ["done"]


@pytest.mark.parametrize("loss", ["role", "active"])
def test_a_permission_that_is_gone_when_it_is_carried_out_counts(alice, network, storage, loss):
    change = ChangeFactory(owning_group=network)
    started(web(alice), "reassign", [change], group=storage.pk)
    if loss == "role":
        alice.groups.clear()
        UserFactory(username="alice", roles=[Role.AUDITOR])
    else:
        alice.is_active = False
        alice.save()
    work()
    assert (statuses(), BulkItem.objects.get().message) == (["failed"], "You may not do this any more.")
    change.refresh_from_db()
    assert change.owning_group == network


def test_a_group_that_is_gone_when_it_is_carried_out_is_said(alice, network):
    gone = SupportGroupFactory(name="Gone")
    change = ChangeFactory(owning_group=network)
    started(web(alice), "reassign", [change], group=gone.pk)
    gone.delete()
    work()
    assert (statuses(), BulkItem.objects.get().message) == (["failed"], "There is no group Gone any more.")


def test_starting_twice_does_it_once(alice):
    change = ChangeFactory()
    client = web(alice)
    page = previewed(client, "comment", [change], body="Hello", visibility="public")
    assert "It was started already." not in text(client.post(f"{page.job}start/", follow=True))
    assert "It was started already." in text(client.post(f"{page.job}start/", follow=True))
    work()
    client.post(f"{page.job}start/")
    work()
    assert (Comment.objects.count(), BulkJob.objects.count()) == (1, 1)


def test_what_is_not_started_is_not_done(alice):
    previewed(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    work()
    assert (Comment.objects.count(), statuses()) == (0, ["waiting"])


def test_going_back_from_the_preview_forgets_it_and_shows_the_form_again(alice):
    change = ChangeFactory()
    client = web(alice)
    page = previewed(client, "comment", [change], body="Hello", visibility="public")
    response = client.post(f"{page.job}drop/", follow=True)
    assert "1 change is chosen" in text(response)
    assert not BulkJob.objects.exists()


def test_a_job_that_was_started_cannot_be_forgotten(alice):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    web(alice).post(f"{address}drop/")
    assert BulkJob.objects.count() == 1


def test_a_preview_that_nobody_started_is_forgotten_after_a_day(alice):
    page = previewed(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    tasks.resume_bulk()
    assert web(alice).get(page.job).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(days=1, minutes=1)):
        tasks.resume_bulk()
    assert (BulkJob.objects.count(), BulkItem.objects.count()) == (0, 0)


# --- Stopping, resuming, sharing ---


def stop_after(monkeypatch, count, stop):
    """Calls `stop` once so many records were begun."""
    begun = []
    real = running._do

    def do(job, item):
        begun.append(item)
        if len(begun) == count:
            stop()
        return real(job, item)

    monkeypatch.setattr(running, "_do", do)


def test_stop_leaves_undone_what_is_not_done_yet(alice, monkeypatch):
    changes = [ChangeFactory() for _ in range(5)]
    client = web(alice)
    address = started(client, "comment", changes, body="Hello", visibility="public")
    stop_after(monkeypatch, 2, lambda: client.post(f"{address}stop/"))
    work()
    said = text(client.get(address))
    assert "Stopped 2 of 5" in said
    assert "3 left undone" in said
    assert Comment.objects.count() == 2
    work()
    assert Comment.objects.count() == 2
    assert "There was nothing to stop any more." in text(client.post(f"{address}stop/", follow=True))


class Killed(BaseException):
    """The process ends in the middle: nothing of ours runs any more."""


def killed():
    raise Killed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["_do", "_record"])
def test_killed_in_the_middle_nothing_is_doubled_and_nothing_lost(alice, acme_group, monkeypatch, where):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(5)]
    address = started(web(alice), "comment", changes, body="Hello", visibility="public")
    real, calls = getattr(running, where), []

    def dying(*arguments):
        calls.append(arguments)
        result = None if where == "_record" and len(calls) == 3 else real(*arguments)
        if len(calls) == 3:
            killed()
        return result

    with monkeypatch.context() as patch:
        patch.setattr(running, where, dying)
        with pytest.raises(Killed):
            work()
    assert (Comment.objects.count(), statuses().count("done")) == (2, 2)
    # Nobody woke anybody: the sweep finds it once nobody has worked on it for a while.
    assert tasks.resume_bulk() == 0
    assert statuses().count("done") == 2
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        tasks.resume_bulk()
    assert [change.comments.count() for change in changes] == [1] * 5
    assert OutgoingOperation.objects.filter(operation="Update").count() == 5
    assert "Finished 5 of 5" in text(web(alice).get(address))


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_a_job_and_do_each_record_once(alice, acme_group):
    changes = [ChangeFactory(owning_group=acme_group) for _ in range(30)]
    started(web(alice), "comment", changes, body="Hello", visibility="public")
    at_once(work, work, work)
    assert statuses() == ["done"] * 30
    assert [change.comments.count() for change in changes] == [1] * 30
    assert BulkJob.objects.get().finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_with_one_record_does_not_keep_the_others(alice, monkeypatch, caplog):
    changes = [ChangeFactory() for _ in range(3)]
    started(web(alice), "comment", changes, body="Hello", visibility="public")

    def fault():
        raise ZeroDivisionError

    stop_after(monkeypatch, 2, fault)
    work()
    assert statuses() == ["done", "failed", "done"]
    assert "An internal error" in BulkItem.objects.get(status="failed").message
    assert "failed unexpectedly" in caplog.text


def test_jobs_take_turns(alice, carol, monkeypatch):
    order = []
    real = running._do
    monkeypatch.setattr(running, "_do", lambda job, item: (order.append(job.user_id), real(job, item))[1])
    for person in (alice, carol):
        started(web(person), "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    work()
    assert order == [alice.pk, carol.pk, alice.pk, carol.pk]


def test_a_worker_that_is_asked_to_end_leaves_the_rest_to_others(alice):
    started(web(alice), "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    begun = []
    assert running.run(60, is_ending=lambda: len(begun) == 1 or begun.append(1))
    assert statuses() == ["done", "waiting"]
    work()
    assert statuses() == ["done", "done"]


# --- Progress and results ---


def test_the_progress_is_asked_for_alone_until_it_is_done_and_then_comes_with_the_results(alice):
    client = web(alice)
    address = started(client, "comment", [ChangeFactory(), ChangeFactory()], body="Hello", visibility="public")
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'hx-trigger="every 1s, renew"' in part
    assert "Waiting for a worker" in part
    work()
    response = client.get(address, headers={"HX-Request": "true"})
    part = response.content.decode()
    assert response["HX-Retarget"] == "#job"
    assert "hx-trigger" not in part
    assert part.count("The comment was added.") == 2
    assert re.search(r'hx-swap-oob="innerHTML">\s*Finished: 2 of 2; 2 done, 0 not done', part)


def test_without_scripts_a_link_refreshes_and_the_results_lead_to_each_change(alice):
    client = web(alice)
    change = ChangeFactory()
    address = started(client, "comment", [change], body="Hello", visibility="public")
    content = client.get(address).content.decode()
    assert f'id="job-refresh" href="{address}">Refresh</a>' in content
    assert "http-equiv" not in content
    assert f'href="/changes/{change.number}/"' in content


def test_results_are_narrowed_and_paged_by_the_address(alice, network, storage, monkeypatch):
    monkeypatch.setattr("changes.bulk.progress.PAGE_SIZE", 2)
    changes = [ChangeFactory(title=f"Change {n}", owning_group=network) for n in range(4)]
    changes.append(ChangeFactory(title="Change 4", owning_group=storage))
    client = web(alice)
    address = started(client, "reassign", changes, group=storage.pk)
    work()
    assert [item.label[-1] for item, _ in client.get(address).context["results"].rows] == ["4", "3"]
    page = client.get(f"{address}?show=done&after=2")
    assert [item.label[-1] for item, _ in page.context["results"].rows] == ["2", "1"]
    assert 'href="?show=done&amp;after=4"' in page.content.decode()
    assert client.get(f"{address}?show=nonsense&after=-1").status_code == 200


def test_the_page_of_a_job_makes_few_queries_whatever_the_number_of_records(alice):
    client = web(alice)
    counts = []
    for number in (2, 30):
        changes = [ChangeFactory() for _ in range(number)]
        address = started(client, "comment", changes, body="Hello", visibility="public")
        work()
        with CaptureQueriesContext(connection) as queries:
            client.get(address)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_later_the_jobs_of_a_person_are_found_again_and_those_of_others_are_not(alice, carol):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    previewed(web(alice), "comment", [ChangeFactory()], body="Never started", visibility="private")
    work()
    content = web(alice).get("/changes/bulk/").content.decode()
    assert content.count("Add a public comment") == 1
    assert f'href="{address}"' in content
    assert "private" not in content
    other = web(UserFactory(roles=[Role.AGENT]))
    assert "No bulk jobs yet" in text(other.get("/changes/bulk/"))
    for method, path in (("get", address), ("post", f"{address}start/"), ("post", f"{address}stop/")):
        assert getattr(other, method)(path).status_code == 404


@pytest.mark.parametrize("who", ["change manager", "superuser"])
def test_a_running_job_of_somebody_else_can_be_seen_and_stopped_by_those_who_watch_over_all(alice, carol, who):
    client = web(carol if who == "change manager" else UserFactory(is_staff=True, is_superuser=True))
    draft = previewed(web(alice), "comment", [ChangeFactory()], body="Never started", visibility="private").job
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    page = client.get("/changes/bulk/").content.decode()
    assert f'href="{address}"' in page
    assert f'href="{draft}"' not in page
    assert "alice" in page
    assert "Started by alice." in text(client.get(address))
    for path in (draft, f"{draft}start/", f"{draft}stop/", f"{draft}drop/", f"{draft}again/"):
        assert client.post(path).status_code in (404, 405)
    assert client.get(draft).status_code == 404
    assert client.post(f"{address}start/").status_code == 404
    client.post(f"{address}stop/")
    work()
    assert "Stopped 0 of 1" in text(client.get(address))
    assert statuses() == ["waiting", "waiting"]
    assert f'href="{address}"' not in client.get("/changes/bulk/").content.decode()


def test_running_jobs_of_others_are_shown_to_nobody_else(alice, ingrid, audrey):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    for person in (ingrid, audrey, UserFactory(roles=[Role.AGENT])):
        assert address not in web(person).get("/changes/bulk/").content.decode()
        assert web(person).get(address).status_code == 404
        assert web(person).post(f"{address}stop/").status_code in (403, 404)
    assert BulkJob.objects.get().is_running


def test_the_list_of_jobs_makes_few_queries_whatever_their_number(alice):
    client = web(alice)
    counts = []
    for number in (1, 6):
        for _ in range(number):
            started(client, "comment", [ChangeFactory()], body="Hello", visibility="public")
        work()
        with CaptureQueriesContext(connection) as queries:
            client.get("/changes/bulk/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 8


def test_a_job_that_no_worker_looks_at_says_so(alice):
    address = started(web(alice), "comment", [ChangeFactory()], body="Hello", visibility="public")
    assert "No worker has looked at it" not in text(web(alice).get(address))
    BulkJob.objects.update(confirmed_at=timezone.now() - timedelta(minutes=1))
    assert "No worker has looked at it" in text(web(alice).get(address))
