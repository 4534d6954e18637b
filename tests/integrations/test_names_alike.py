"""`load_exchange` and the administration treat names in the same way. An empty file is reported as empty."""

import json
import unicodedata

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from changes.models import SupportGroup
from integrations.models import ExternalSystem
from tests.factories import PASSWORD, PartnerUserFactory, SupportGroupFactory, UserFactory
from tests.html_forms import errors, post_form
from tests.pages import web

pytestmark = pytest.mark.django_db


@pytest.fixture
def load(tmp_path):
    def load(**sections):
        file = tmp_path / "exchange.json"
        file.write_text(json.dumps(sections))  # an empty document is valid YAML
        call_command("load_exchange", str(file))

    return load


@pytest.fixture
def root():
    return web(UserFactory(username="root", is_superuser=True, is_staff=True))


def by_file(load, section, key, name, **more):
    try:
        load(**{section: [{key: name, **more}]})
    except CommandError as error:
        return str(error)
    return ""


def by_admin(root, address, key, name, **more):
    page = post_form(root, address, **{key: name, **more})
    return "" if page.status_code == 302 else " ".join(errors(page).get(key, ["?"]))


def test_names_of_groups(load, root):
    SupportGroupFactory(name="Network")
    for name, kept in [
        (" Network ", "Network"),
        ("Net\u200bwork", "Network"),
        ("Server\nfarm", "Server farm"),
        ("network", "There is already a group Network. Only the capitals differ."),
    ]:
        for way in ("file", "admin"):
            SupportGroup.objects.exclude(name="Network").delete()
            is_new = kept == "Server farm"
            if way == "file":
                said = by_file(load, "groups", "name", name)
                assert ("capitals" in said) == ("capitals" in kept), (name, said)
            else:
                said = by_admin(root, "/admin/changes/supportgroup/add/", "name", name)
                assert (said == "") == is_new, (name, said)  # an existing user is not added again
            expected = {"Network"} | ({kept} if is_new else set())
            assert {*SupportGroup.objects.values_list("name", flat=True)} == expected, (way, name)


def test_names_of_users(load, root):
    composed = "jürgen"
    for name, kept in [
        (" bob ", "bob"),
        (unicodedata.normalize("NFD", composed), composed),
        ("b\u200bob", None),
        ("b ob", None),
        ("ROOT", None),
    ]:
        for way in ("file", "admin"):
            get_user_model().objects.exclude(username="root").delete()
            if way == "file":
                said = by_file(load, "users", "username", name)
                assert bool(said) == (kept is None), (name, said)
                assert "users[0]" in said or not said
            else:
                said = by_admin(root, "/admin/auth/user/add/", "username", name, password1=PASSWORD, password2=PASSWORD)
                assert bool(said) == (kept is None), (name, said)
            names = {*get_user_model().objects.values_list("username", flat=True)}
            assert names == {"root"} | ({kept} if kept else set()), (way, name)
    load(users=[{"username": "bob"}], groups=[{"name": "Network", "members": [" bob "]}])
    assert SupportGroup.objects.get().members.get().username == "bob"


def test_ids_of_systems(load, root):
    user = PartnerUserFactory(username="acme-user")
    more = {"endpoint_url": "http://127.0.0.1:9/x"}
    for name in (" ACME", "ACME\u00a0", "AC\u200bME", "AC ME", "ACME\n"):
        said = by_file(load, "external_systems", "system_id", name, authorized_user="acme-user", **more)
        assert "external_systems[0].system_id" in said, (name, said)
        address = "/admin/integrations/externalsystem/add/"
        if "\n" not in name:  # a browser's field cannot contain this
            assert by_admin(root, address, "system_id", name, authorized_user=str(user.pk), **more), name
    assert not ExternalSystem.objects.exists()
    load(external_systems=[{"system_id": "ACME", "authorized_user": "acme-user", **more}])
    assert "capitals" in by_file(load, "external_systems", "system_id", "acme", authorized_user="acme-user", **more)
    assert ExternalSystem.objects.count() == 1


def test_an_empty_file_says_that_it_is_empty(acme, partner_api):
    file = {"file_name": "a.txt", "content_base64": ""}
    body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
    answer = partner_api(acme).post("/api/v1/operations/", {**body, "attachments": [file]}, format="json")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["attr"]) == (400, "empty", "attachments.0.content_base64")
    assert "empty" in error["detail"]
