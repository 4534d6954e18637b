"""The administration of external systems: registration, secrets, and the list."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from integrations.choices import DeliveryStatus
from integrations.models import ExternalGroup, ExternalSystem, OutgoingOperation
from integrations.transports.signing import check_secret
from tests.factories import SECRET, ExternalSystemFactory, PartnerUserFactory, SupportGroupFactory, UserFactory
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web

LIST = "/admin/integrations/externalsystem/"
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU="


def page_of(system):
    return f"{LIST}{system.pk}/change/"


def stored(system):
    return ExternalSystem.objects.get(pk=system.pk)


# --- What is registered ---


def test_a_system_is_registered(ingrid):
    partner = PartnerUserFactory(username="gamma-integration")
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
        "authorized_user": str(PartnerUserFactory(username="gamma-integration").pk),
        "endpoint_url": "https://gamma.example/operations",
    }
    response = post_form(web(ingrid), f"{LIST}add/", **(good | typed))
    assert response.status_code == 200
    assert expected in " ".join(errors(response)[field])
    assert ExternalSystem.objects.count() == 1


@pytest.mark.parametrize("who", ["staff", "superuser", "staff later", "a person"])
def test_the_authorized_user_must_be_a_partner_s_account(ingrid, acme, alice, who):
    user = {
        "staff": alice,
        "superuser": UserFactory(username="hidden", is_superuser=True),
        "staff later": acme.authorized_user,
        "a person": UserFactory(username="bob"),
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


def test_two_systems_share_no_account(ingrid, acme, beta):
    client, account = web(ingrid), str(acme.authorized_user_id)
    new = {"system_id": "GAMMA", "authorized_user": account, "endpoint_url": "https://gamma.example/operations"}
    told = "This is the account of ACME. Choose another one, or make one for this system."
    assert errors(post_form(client, f"{LIST}add/", **new))["authorized_user"] == [told]
    form = read_form(client.get(page_of(beta)), "authorized_user")
    response = client.post(page_of(beta), {**form["fields"], "authorized_user": account, "description": "New"})
    assert errors(response)["authorized_user"] == [told]
    assert stored(beta).authorized_user == beta.authorized_user
    assert stored(beta).description == beta.description
    assert ExternalSystem.objects.count() == 2


def test_two_systems_that_share_an_account_already_can_be_edited(ingrid, acme, beta):
    ExternalSystem.objects.filter(pk=beta.pk).update(authorized_user=acme.authorized_user)
    assert post_form(web(ingrid), page_of(beta), description="New").status_code == 302
    assert stored(beta).description == "New"
    own = PartnerUserFactory(username="beta-own")
    assert post_form(web(ingrid), page_of(beta), authorized_user=str(own.pk)).status_code == 302
    assert stored(beta).authorized_user == own


def test_who_may_not_see_systems_is_not_told_which_one_has_the_account(acme):
    adder = UserFactory(username="bob", is_staff=True)
    adder.user_permissions.add(Permission.objects.get(codename="add_externalsystem"))
    new = {"system_id": "GAMMA", "authorized_user": str(acme.authorized_user_id), "endpoint_url": "https://g.example/"}
    response = post_form(web(adder), f"{LIST}add/", **new)
    (told,) = errors(response)["authorized_user"]
    assert told == "This is the account of another system. Choose another one, or make one for this system."


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
        assert "Former signing secret: Set: both secrets sign until the rotation ends" in shown


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
        "authorized_user": str(PartnerUserFactory(username="gamma-integration").pk),
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


# --- The list ---


def test_the_list_shows_what_waits_with_six_queries_however_many_there_are(
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
    with django_assert_max_num_queries(6):
        client.get(LIST)
    for number in range(8):
        system = ExternalSystemFactory(system_id=f"MORE{number}")
        ExternalGroup(group=SupportGroupFactory(name=f"More {number}"), system=system).save()
        give(system)
    with django_assert_max_num_queries(6):
        client.get(LIST)
