"""The administration of external systems and groups: secrets that only go in, and operations that wait."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from changes.models import Comment, SupportGroup
from integrations import outbox
from integrations.choices import Breaker, DeliveryStatus, Operation
from integrations.models import DeliveryControl, ExternalGroup, ExternalSystem, OutgoingOperation
from integrations.transports.signing import check_secret

from ..factories import SECRET, ChangeFactory, ExternalSystemFactory, SupportGroupFactory, UserFactory
from ..html_forms import errors, messages, post_form, read_form
from ..pages import text, web

LIST = "/admin/integrations/externalsystem/"
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU="


def page_of(system):
    return f"{LIST}{system.pk}/change/"


def start_of(system):
    return f"{LIST}{system.pk}/start/"


@pytest.fixture
def give(alice):
    """Gives new changes to a system, each with one comment: two operations for each."""

    def give(system, count=1):
        group = system.external_groups.first().group
        for number in range(count):
            change = ChangeFactory(title=f"Change {number}", requested_by=alice, owning_group=group)
            Comment(change=change, author=alice, body="Hello").save()
        return OutgoingOperation.objects.filter(system=system)

    return give


def stored(system):
    return ExternalSystem.objects.get(pk=system.pk)


# --- What is registered ---


def test_a_system_is_registered(ingrid):
    partner = UserFactory(username="gamma-integration")
    typed = {
        "system_id": "GAMMA",
        "description": "Gamma's desk",
        "authorized_user": str(partner.pk),
        "endpoint_url": "https://gamma.example/operations",
        "new_signing_secret": SECRET,
    }
    assert post_form(web(ingrid), f"{LIST}add/", **typed).status_code == 302
    system = ExternalSystem.objects.get(system_id="GAMMA")
    assert (system.delivery, system.enabled, system.signing_secret) == ("push", True, SECRET)
    assert system.previous_signing_secret == ""


@pytest.mark.parametrize(
    ("typed", "field", "expected"),
    [
        ({"endpoint_url": ""}, "endpoint_url", "Push needs the URL"),
        ({"endpoint_url": "ftp://gamma.example/"}, "endpoint_url", "http:// or https://"),
        ({"endpoint_url": "https://user:pw@gamma.example/"}, "endpoint_url", "user name"),
        ({"system_id": "acme"}, "__all__", "in other capitals"),
        ({"system_id": "ACME"}, "system_id", "already exists"),
        ({"system_id": "a b"}, "system_id", "letters, digits"),
        ({"new_signing_secret": "secret"}, "new_signing_secret", "whsec_"),
        ({"new_signing_secret": SECRET, "generate_secret": "on"}, "generate_secret", "Either"),
        ({"authorized_user": ""}, "authorized_user", "required"),
    ],
)
def test_a_bad_registration_is_an_error_at_its_field(ingrid, acme, typed, field, expected):
    good = {
        "system_id": "GAMMA",
        "authorized_user": str(UserFactory(username="gamma-integration").pk),
        "endpoint_url": "https://gamma.example/operations",
    }
    response = post_form(web(ingrid), f"{LIST}add/", **(good | typed))
    assert response.status_code == 200
    assert expected in " ".join(errors(response)[field])
    assert ExternalSystem.objects.count() == 1


@pytest.mark.parametrize("who", ["staff", "superuser", "staff later"])
def test_the_authorized_user_must_not_be_staff(ingrid, acme, alice, who):
    user = {
        "staff": alice,
        "superuser": UserFactory(username="hidden", is_superuser=True),
        "staff later": acme.authorized_user,
    }[who]
    client = web(ingrid)
    form = read_form(client.get(page_of(acme)), "authorized_user")
    if who == "staff later":
        user.is_staff = True
        user.save()
    response = client.post(page_of(acme), {**form["fields"], "authorized_user": str(user.pk), "description": "New"})
    assert response.status_code == 200
    assert "authorized_user" in errors(response)
    assert stored(acme).description == acme.description
    assert stored(acme).authorized_user == acme.authorized_user


def test_the_system_id_is_fixed_once_registered(ingrid, acme):
    client = web(ingrid)
    form = read_form(client.get(page_of(acme)), "description")
    assert "system_id" not in form["names"]
    client.post(page_of(acme), {**form["fields"], "system_id": "OTHER"})
    assert stored(acme).system_id == "ACME"


def test_a_system_that_is_in_use_cannot_be_deleted(ingrid, acme, give):
    give(acme)
    client = web(ingrid)
    for response in (
        client.get(f"{LIST}{acme.pk}/delete/"),
        client.post(f"{LIST}{acme.pk}/delete/", {"post": "yes"}),
        client.post(LIST, {"action": "delete_selected", "_selected_action": [str(acme.pk)], "post": "yes"}),
    ):
        assert response.status_code == 200
        assert "Outgoing operations: 2" in text(response)
    assert "disable it instead" in text(client.get(f"{LIST}{acme.pk}/delete/"))
    assert ExternalSystem.objects.filter(pk=acme.pk).exists()


def test_a_system_that_nothing_names_can_be_deleted(ingrid):
    system = ExternalSystemFactory(system_id="GAMMA")
    assert web(ingrid).post(f"{LIST}{system.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ExternalSystem.objects.exists()


# --- Secrets ---


def test_a_secret_is_said_to_be_set_and_shown_nowhere(ingrid, audrey, acme):
    acme.previous_signing_secret = OTHER_SECRET
    acme.save()
    for user in (ingrid, audrey):
        client = web(user)
        for address in (LIST, page_of(acme), f"{LIST}{acme.pk}/history/"):
            page = client.get(address).content.decode()
            assert "whsec_c2Vj" not in page
            assert OTHER_SECRET not in page
        shown = text(client.get(page_of(acme)))
        assert "Signing secret: Set" in shown
        assert "Former signing secret: Set: a rotation goes on, both sign" in shown


def test_without_a_secret_it_is_said_to_be_not_set(ingrid, acme):
    acme.signing_secret = ""
    acme.save()
    shown = text(web(ingrid).get(page_of(acme)))
    assert "Signing secret: Not set" in shown
    assert "Former signing secret: Not set" in shown


def test_leaving_the_field_empty_keeps_the_secret(ingrid, acme):
    post_form(web(ingrid), page_of(acme), description="Other")
    assert stored(acme).signing_secret == SECRET
    assert stored(acme).description == "Other"


def test_a_typed_secret_replaces_the_former_which_signs_on_until_the_rotation_ends(ingrid, acme):
    client = web(ingrid)
    assert post_form(client, page_of(acme), new_signing_secret=OTHER_SECRET).status_code == 302
    assert stored(acme).signing_secrets == [OTHER_SECRET, SECRET]
    post_form(client, page_of(acme), end_rotation="on")
    assert stored(acme).signing_secrets == [OTHER_SECRET]
    logged = " ".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    assert "New signing secret" in logged
    assert OTHER_SECRET not in logged


def test_a_secret_that_is_refused_is_not_written_back_into_the_page(ingrid, acme):
    response = post_form(web(ingrid), page_of(acme), new_signing_secret=OTHER_SECRET, endpoint_url="nonsense")
    assert "endpoint_url" in errors(response)
    assert OTHER_SECRET not in response.content.decode()
    assert stored(acme).signing_secrets == [SECRET]


def test_the_secret_that_signs_already_is_no_new_one(ingrid, acme):
    response = post_form(web(ingrid), page_of(acme), new_signing_secret=SECRET)
    assert "new_signing_secret" in errors(response)
    assert stored(acme).signing_secrets == [SECRET]


def test_a_generated_secret_is_shown_once_and_kept_in_no_cookie_and_no_log(ingrid, acme):
    client = web(ingrid)
    response = post_form(client, page_of(acme), generate_secret="on")
    secret = stored(acme).signing_secret
    check_secret(secret)
    assert stored(acme).previous_signing_secret == SECRET
    assert secret in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert not any(secret in cookie.value for cookie in client.cookies.values())
    assert all(secret not in entry.change_message for entry in LogEntry.objects.all())
    for address in (page_of(acme), LIST, "/admin/"):
        assert secret not in client.get(address).content.decode()


def test_a_new_system_may_get_a_generated_secret(ingrid):
    typed = {
        "system_id": "GAMMA",
        "authorized_user": str(UserFactory(username="gamma-integration").pk),
        "endpoint_url": "https://gamma.example/operations",
        "generate_secret": "on",
    }
    response = post_form(web(ingrid), f"{LIST}add/", **typed)
    system = ExternalSystem.objects.get(system_id="GAMMA")
    assert system.signing_secret in response.content.decode()
    assert "The new signing secret of GAMMA" in text(response)


def test_a_leaked_secret_is_replaced_at_once(ingrid, acme):
    post_form(web(ingrid), page_of(acme), new_signing_secret=OTHER_SECRET, end_rotation="on")
    assert stored(acme).signing_secrets == [OTHER_SECRET]


# --- Enabled, disabled, paused ---


def test_a_system_is_disabled_and_what_is_recorded_for_it_waits(ingrid, acme, give):
    post_form(web(ingrid), page_of(acme), enabled=None)
    assert not stored(acme).enabled
    give(acme)
    assert {operation.status for operation in OutgoingOperation.objects.all()} == {DeliveryStatus.WAITING}


def test_enabling_it_with_nothing_waiting_is_done_at_once(ingrid, acme):
    acme.enabled = False
    acme.save()
    response = post_form(web(ingrid), page_of(acme), enabled="on", follow=True)
    assert stored(acme).enabled
    assert response.redirect_chain[-1][0] == LIST


def test_enabling_it_first_shows_what_waits_and_how_old_it_is(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    give(acme, 2)
    OutgoingOperation.objects.filter(sequence=1).update(created_at=timezone.now() - timedelta(days=3, minutes=1))
    response = post_form(web(ingrid), page_of(acme), enabled="on", description="Also edited", follow=True)
    assert response.redirect_chain[-1][0] == start_of(acme)
    assert not stored(acme).enabled, "nothing flows before the decision"
    assert stored(acme).description == "Also edited"
    shown = text(response)
    assert "4 operations wait" in shown
    assert "3 days" in shown
    assert "Assign: 2" in shown
    assert "Update: 2" in shown
    assert all("Enabled" not in entry.change_message for entry in LogEntry.objects.all())


def test_enabling_it_sends_what_waits(ingrid, acme, give, django_capture_on_commit_callbacks):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    client = web(ingrid)
    with django_capture_on_commit_callbacks() as woken:
        response = post_form(client, start_of(acme), follow=True, having="shown_until", decision="send")
    assert stored(acme).enabled
    assert woken
    assert {operation.status for operation in operations} == {DeliveryStatus.WAITING}
    assert "Operations to send now: 2." in messages(response)[0]


def test_enabling_it_may_skip_all_that_waits_with_one_reason(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme, 2)
    client = web(ingrid)
    response = post_form(client, start_of(acme), follow=True, reason="Dealt with by telephone", decision="skip")
    assert stored(acme).enabled
    for operation in operations:
        assert (operation.status, operation.skipped_by, operation.skip_reason) == (
            DeliveryStatus.SKIPPED,
            ingrid,
            "Dealt with by telephone",
        )
    assert "skipped operations: 4" in messages(response)[0]
    assert "Dealt with by telephone" in LogEntry.objects.first().change_message


def test_skipping_needs_a_reason(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    response = post_form(web(ingrid), start_of(acme), reason="  ", decision="skip")
    assert response.status_code == 200
    assert "Give a reason" in text(response)
    assert not stored(acme).enabled
    assert {operation.status for operation in operations} == {DeliveryStatus.WAITING}


def test_what_is_recorded_after_the_page_was_shown_is_not_skipped(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    give(acme)
    client = web(ingrid)
    shown = client.get(start_of(acme))
    give(acme)
    post_form(client, start_of(acme), page=shown, reason="Old", decision="skip")
    statuses = [operation.status for operation in OutgoingOperation.objects.order_by("created_at", "id")]
    assert statuses == ["Skipped", "Skipped", "Waiting", "Waiting"]
    assert stored(acme).enabled


def test_a_paused_system_is_resumed(ingrid, acme, give):
    acme.paused_at, acme.pause_reason = timezone.now(), "ACME does not accept our credentials (401)"
    acme.save()
    give(acme)
    client = web(ingrid)
    assert "ACME does not accept our credentials (401)" in text(client.get(LIST))
    assert start_of(acme) in client.get(page_of(acme)).content.decode()
    shown = text(client.get(start_of(acme)))
    assert "Resume ACME" in shown
    assert "2 operations wait" in shown
    post_form(client, start_of(acme), having="shown_until", decision="send")
    assert stored(acme).paused_at is None
    assert stored(acme).pause_reason == ""


def test_an_edit_does_not_undo_a_pause_that_a_worker_made_meanwhile(ingrid, acme):
    client = web(ingrid)
    page = client.get(page_of(acme))
    ExternalSystem.objects.filter(pk=acme.pk).update(paused_at=timezone.now(), pause_reason="gone (410)")
    post_form(client, page_of(acme), page=page, description="Other")
    assert stored(acme).pause_reason == "gone (410)"


def test_a_system_that_flows_has_nothing_to_decide(ingrid, acme):
    response = web(ingrid).get(start_of(acme), follow=True)
    assert response.redirect_chain[-1][0] == page_of(acme)
    assert "flow to ACME already" in messages(response)[0]


@pytest.mark.parametrize("decision", ["", "destroy"])
def test_an_unknown_decision_changes_nothing(ingrid, acme, give, decision):
    acme.enabled = False
    acme.save()
    give(acme)
    response = web(ingrid).post(start_of(acme), {"decision": decision, "reason": "x"})
    assert response.status_code == 200
    assert not stored(acme).enabled


def test_a_forged_moment_skips_nothing(ingrid, acme, give):
    acme.enabled = False
    acme.save()
    operations = give(acme)
    for moment in ("", "nonsense"):
        web(ingrid).post(start_of(acme), {"decision": "skip", "reason": "x", "shown_until": moment})
    assert not operations.filter(status=DeliveryStatus.SKIPPED).exists()


# --- Limits and the circuit breaker ---


def breaker_of(system):
    return f"{LIST}{system.pk}/breaker/"


def failed(system, count=10):
    """The system failed so often in a row that its circuit breaker opened."""
    now = timezone.now()
    until = now + timedelta(seconds=30)
    values = {"breaker": Breaker.OPEN, "breaker_opened_at": now, "breaker_until": until}
    reason = f"{count} tries in a row failed"
    DeliveryControl.objects.filter(system=system).update(
        **values, breaker_reason=reason, consecutive_failures=count, window_tries=count, window_failures=count
    )
    return until


def test_the_limits_are_edited(ingrid, acme):
    client = web(ingrid)
    assert post_form(client, page_of(acme), max_in_flight="4", rate_limit="90").status_code == 302
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == (4, 90)
    post_form(client, page_of(acme), rate_limit="")
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == (4, None)
    logged = " ".join(entry.change_message for entry in LogEntry.objects.all())
    assert "Most requests at a time" in logged
    assert "Rate limit" in logged


@pytest.mark.parametrize(
    ("typed", "field", "expected"),
    [
        ({"max_in_flight": ""}, "max_in_flight", "At least one request must be allowed at a time."),
        ({"max_in_flight": "0"}, "max_in_flight", "At least one request must be allowed at a time."),
        ({"max_in_flight": "501"}, "max_in_flight", "less than or equal to 500"),
        ({"max_in_flight": "many"}, "max_in_flight", "whole number"),
        ({"rate_limit": "0"}, "rate_limit", "Give at least 1 a minute. Left empty, there is no limit."),
        ({"rate_limit": "-5"}, "rate_limit", "Give at least 1 a minute. Left empty, there is no limit."),
        ({"rate_limit": "1.5"}, "rate_limit", "whole number"),
        ({"rate_limit": "1000001"}, "rate_limit", "less than or equal to 1000000"),
    ],
)
def test_a_limit_that_cannot_be_is_an_error_at_its_field(ingrid, acme, typed, field, expected):
    before = (acme.max_in_flight, acme.rate_limit)
    response = post_form(web(ingrid), page_of(acme), **typed)
    assert response.status_code == 200
    assert expected in " ".join(errors(response)[field])
    assert (stored(acme).max_in_flight, stored(acme).rate_limit) == before


def test_the_breaker_is_shown_in_the_list_and_on_the_page(audrey, acme, beta):
    until = failed(acme)
    client = web(audrey)
    probe = f"{until:%Y-%m-%d %H:%M:%S}"
    told = f": 10 tries in a row failed; next probe {probe}; failures in a row: 10"
    assert told in text(client.get(LIST))
    shown = text(client.get(page_of(acme)))
    assert "Circuit breaker: Open Since: " in shown
    assert f"Next probe: {probe} Reason: 10 tries in a row failed Failures in a row: 10" in shown
    well = text(client.get(page_of(beta)))
    assert "Circuit breaker: Closed Since: - Next probe: - Reason: - Failures in a row: 0" in well


def test_the_breaker_is_opened_with_a_reason_that_the_history_keeps(ingrid, acme, give):
    give(acme)
    client = web(ingrid)
    assert breaker_of(acme) in client.get(page_of(acme)).content.decode()
    response = client.post(breaker_of(acme), {"decision": "open", "reason": "ACME moves its desk"}, follow=True)
    assert response.redirect_chain[-1][0] == page_of(acme)
    assert "nothing is sent until it is closed" in messages(response)[0]
    assert "Next probe: None: a person closes it Reason: ACME moves its desk (ingrid)" in text(response)
    assert outbox.claim(10) == []
    history = text(client.get(f"{LIST}{acme.pk}/history/"))
    assert "Opened the circuit breaker. Reason: ACME moves its desk" in history


def test_the_breaker_is_closed_and_what_is_due_is_sent(ingrid, acme, give, django_capture_on_commit_callbacks):
    give(acme)
    failed(acme)
    client = web(ingrid)
    shown = text(client.get(breaker_of(acme)))
    assert "10 tries in a row failed" in shown
    assert "2 operations wait. Failures in a row: 10." in shown
    with django_capture_on_commit_callbacks() as woken:
        client.post(breaker_of(acme), {"decision": "close"})
    assert woken
    assert len(outbox.claim(10)) == 1
    control = DeliveryControl.objects.get(system=acme)
    assert (control.breaker, control.consecutive_failures, control.window_tries) == (Breaker.CLOSED, 0, 0)
    assert LogEntry.objects.get().change_message == "Closed the circuit breaker."


@pytest.mark.parametrize("posted", [{}, {"decision": "open"}, {"decision": "open", "reason": " "}, {"decision": "x"}])
def test_without_a_reason_or_a_decision_the_breaker_stays_as_it_is(ingrid, acme, posted):
    response = web(ingrid).post(breaker_of(acme), posted)
    assert response.status_code == 200
    if posted.get("decision") == "open":
        assert "Give a reason for opening the circuit breaker." in text(response)
    assert DeliveryControl.objects.get(system=acme).breaker == Breaker.CLOSED
    assert not LogEntry.objects.exists()


def test_who_may_not_edit_systems_may_not_touch_their_breaker(audrey, alice, acme):
    for person in (audrey, alice):
        client = web(person)
        assert breaker_of(acme) not in client.get(page_of(acme)).content.decode()
        assert client.get(breaker_of(acme)).status_code == 403
        assert client.post(breaker_of(acme), {"decision": "open", "reason": "x"}).status_code == 403
    assert DeliveryControl.objects.get(system=acme).breaker == Breaker.CLOSED


def test_the_page_tells_what_is_in_flight_and_how_fast_it_is_taken(audrey, acme, give):
    give(acme, 4)
    OutgoingOperation.objects.filter(operation="Update").update(status="Delivered", settled_at=timezone.now())
    OutgoingOperation.objects.filter(pk=OutgoingOperation.objects.filter(operation="Assign").first().pk).update(
        status="Refused"
    )
    assert len(outbox.claim(1)) == 1
    shown = text(web(audrey).get(page_of(acme)))
    assert "Waiting operations: 2 " in shown
    assert "In flight: 1 Refused: 1 Delivered: 4 in the last minute, 0.8 a minute over the last five" in shown


# --- The list ---


def test_the_list_shows_what_waits_with_a_constant_number_of_queries(
    ingrid, acme, beta, give, django_assert_max_num_queries
):
    give(acme, 3)
    client = web(ingrid)
    OutgoingOperation.objects.filter(pk=OutgoingOperation.objects.first().pk).update(
        status=DeliveryStatus.DELIVERED, settled_at=timezone.now()
    )
    rows = {system.system_id: system for system in client.get(LIST).context["cl"].result_list}
    assert (rows["ACME"].unsettled_count, rows["BETA"].unsettled_count) == (5, 0)
    assert rows["ACME"].last_delivered is not None
    assert rows["BETA"].last_delivered is None
    with django_assert_max_num_queries(100) as few:
        client.get(LIST)
    for number in range(8):
        system = ExternalSystemFactory(system_id=f"MORE{number}")
        ExternalGroup(group=SupportGroupFactory(name=f"More {number}"), system=system).save()
        give(system)
    with django_assert_max_num_queries(len(few)):
        client.get(LIST)


# --- External groups ---


def test_a_support_group_becomes_external_and_changes_given_to_it_go_to_the_partner(ingrid, alice, acme):
    group = SupportGroupFactory(name="ACME Storage")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    assert post_form(web(ingrid), address, **{"external_group-0-system": str(acme.pk)}).status_code == 302
    assert group.external_group.system == acme
    assert "ACME" in text(web(ingrid).get("/admin/changes/supportgroup/"))
    assert "ACME Storage" in text(web(ingrid).get(page_of(acme)))
    change = ChangeFactory(requested_by=alice)
    post_form(web(alice), f"/admin/changes/change/{change.pk}/change/", owning_group=str(group.pk))
    operation = OutgoingOperation.objects.get()
    assert (operation.system, operation.operation, operation.change) == (acme, Operation.ASSIGN, change)


def test_an_external_group_becomes_internal_again(ingrid, acme):
    group = SupportGroup.objects.get(name="ACME Networks")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    post_form(web(ingrid), address, **{"external_group-0-DELETE": "on"})
    assert not ExternalGroup.objects.exists()


def test_a_save_from_the_admin_generates_the_operations_in_order(alice, acme, beta):
    change = ChangeFactory(requested_by=alice, owning_group=SupportGroup.objects.get(name="ACME Networks"))
    servers = SupportGroup.objects.get(name="BETA Servers")
    address = f"/admin/changes/change/{change.pk}/change/"
    typed = {"owning_group": str(servers.pk), "completion_code": "Withdrawn", "comments-0-body": "Over to you"}
    assert post_form(web(alice), address, **typed).status_code == 302
    generated = [(operation.operation, str(operation.system)) for operation in _in_order()]
    assert generated == [
        ("Assign", "ACME"),
        ("Accept", "ACME"),
        ("Assign", "BETA"),
        ("Cancel", "ACME"),
        ("Cancel", "BETA"),
    ], "and no Update for the comment, which came after the Cancel"


def test_a_private_comment_from_the_admin_generates_nothing(alice, acme):
    change = ChangeFactory(requested_by=alice, owning_group=SupportGroup.objects.get(name="ACME Networks"))
    address = f"/admin/changes/change/{change.pk}/change/"
    typed = {"comments-0-body": "Between us", "comments-0-visibility": "private"}
    post_form(web(alice), address, **typed)
    assert [operation.operation for operation in _in_order()] == ["Assign"]
    post_form(web(alice), address, **{"comments-0-body": "For all"})
    assert [operation.operation for operation in _in_order()] == ["Assign", "Update"]


def test_a_refused_save_generates_nothing(alice, acme):
    change = ChangeFactory(requested_by=alice)
    group = SupportGroup.objects.get(name="ACME Networks")
    address = f"/admin/changes/change/{change.pk}/change/"
    response = post_form(web(alice), address, owning_group=str(group.pk), **{"comments-0-body": "x" * 100_001})
    assert response.status_code == 200
    assert not OutgoingOperation.objects.exists()


def _in_order():
    return OutgoingOperation.objects.select_related("system").order_by("created_at", "id")
