"""Secrets: under which key they are stored, how the key is changed, and that none comes out where it should not."""

from __future__ import annotations

import inspect
import io
import logging
import re
from pathlib import Path

import pytest
from celery import current_app
from cryptography.fernet import Fernet
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from knox.models import AuthToken

from integrations.models import ExternalSystem
from integrations.outgoing import delivery
from integrations.transports.signing import new_secret
from tests.factories import SECRET, ChangeFactory, PartnerUserFactory, UserFactory
from tests.html_forms import post_form, read_form
from tests.integrations.partner import Partner
from tests.pages import text, web
from tests.rows import each_row

from .people import attempt, set_up_app, signed_in

SYSTEMS = "/admin/integrations/externalsystem/"
FORMER = "the former key of the sessions, which read the secrets too"


def stored_secret() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT signing_secret FROM integrations_externalsystem")
        return cursor.fetchone()[0]


def new_key() -> str:
    return Fernet.generate_key().decode()


# --- The key ---


# What read the secret when it was stored, what is set now, and whether it can be read.
@each_row(
    ("before", "now", "is_read"),
    [
        ({"FIELD_ENCRYPTION_KEYS": ["a"]}, {"FIELD_ENCRYPTION_KEYS": ["a"]}, True),
        ({"FIELD_ENCRYPTION_KEYS": ["a"]}, {"FIELD_ENCRYPTION_KEYS": ["b", "a"]}, True),
        ({"FIELD_ENCRYPTION_KEYS": ["a"]}, {"FIELD_ENCRYPTION_KEYS": ["b"]}, False),
        ({"FIELD_ENCRYPTION_KEYS": ["a"]}, {"FIELD_ENCRYPTION_KEYS": ["a"], "SECRET_KEY": "new"}, True),
        ({"FIELD_ENCRYPTION_KEYS": [], "SECRET_KEY": FORMER}, {"FIELD_ENCRYPTION_KEYS": ["a"]}, True),
        ({"FIELD_ENCRYPTION_KEYS": [], "SECRET_KEY": FORMER}, {"SECRET_KEY": "new"}, False),
        (
            {"FIELD_ENCRYPTION_KEYS": [], "SECRET_KEY": FORMER},
            {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": [FORMER]},
            True,
        ),
    ],
)
def test_a_secret_is_read_with_any_of_the_keys(settings, acme, before, now, is_read):
    keys = {"a": new_key(), "b": new_key()}

    def set_all(values: dict) -> None:
        for name, value in values.items():
            setattr(settings, name, [keys.get(key, key) for key in value] if isinstance(value, list) else value)

    set_all(before)
    acme.save()
    set_all(now)
    assert (ExternalSystem.objects.get().signing_secret == SECRET) is is_read


def test_after_a_rotation_only_the_new_key_is_needed(settings, acme, capsys):
    settings.FIELD_ENCRYPTION_KEYS = []
    acme.previous_signing_secret = new_secret()
    acme.save()
    settings.FIELD_ENCRYPTION_KEYS = [new_key()]
    call_command("rotate_secrets")
    assert "Encrypted of external systems: 2\n" in capsys.readouterr().out
    assert Fernet(settings.FIELD_ENCRYPTION_KEYS[0]).decrypt(stored_secret()).decode() == SECRET
    settings.SECRET_KEY = "the former key reads nothing any more"
    assert ExternalSystem.objects.get().signing_secrets == acme.signing_secrets


def test_a_rotation_names_what_it_cannot_read_and_leaves_it(settings, acme, beta):
    set_up_app(signed_in(UserFactory(username="bob").username))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE integrations_externalsystem SET signing_secret = 'x' WHERE system_id = 'ACME'")
        cursor.execute("UPDATE mfa_authenticator SET data = '{\"secret\": \"x\"}' WHERE type = 'totp'")
    former, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, [new_key()]
    settings.FIELD_ENCRYPTION_KEYS += former
    said = io.StringIO()
    with pytest.raises(CommandError, match="2 cannot be decrypted with the present keys"):
        call_command("rotate_secrets", stderr=said)
    assert "Not decrypted: signing secret of ACME\nNot decrypted: TOTP Authenticator of bob" in said.getvalue()
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert ExternalSystem.objects.get(pk=beta.pk).signing_secret == SECRET
    with connection.cursor() as cursor:
        cursor.execute("SELECT signing_secret FROM integrations_externalsystem WHERE system_id = 'ACME'")
        assert cursor.fetchone() == ("x",)


def test_a_dump_holds_no_secret_and_can_be_loaded(acme, tmp_path):
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "integrations.externalsystem", output=str(dump))
    assert SECRET not in dump.read_text()
    ExternalSystem.objects.update(signing_secret="")
    call_command("loaddata", str(dump), verbosity=0)
    assert ExternalSystem.objects.get().signing_secret == SECRET


# --- Where it comes out ---


class Everything(logging.Handler):
    """All log records of all levels, with their tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def logs():
    """What is logged, at the level at which every library says everything."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(level)


def all_tables() -> str:
    """The database as text, as a thief of a backup reads it."""
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True)]
    with connection.cursor() as cursor:
        rows = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - our own names
            rows += [str([bytes(value) if isinstance(value, memoryview) else value for value in row]) for row in cursor]
    return "\n".join(rows)


def everything_with_secrets(acme: ExternalSystem, root: object, monkeypatch, tmp_path: Path) -> dict[str, str]:
    """Does everything in which a secret plays a part. Returns each kind of secret."""
    client, page = web(root), f"{SYSTEMS}{acme.pk}/change/"
    secrets = {"signing secret": new_secret(), "refused signing secret": "whsec_aWYgdG9vIHNob3J0"}

    # The administration: a new secret, with the former one beside it, and one that is refused.
    form = read_form(client.get(page), "new_signing_secret")
    rejected = client.post(page, {**form["fields"], "new_signing_secret": secrets["refused signing secret"]})
    assert rejected.status_code == 200
    assert secrets["refused signing secret"] not in text(rejected)
    post_form(client, page, new_signing_secret=secrets["signing secret"])
    secrets["previous signing secret"] = SECRET
    assert set(ExternalSystem.objects.get(pk=acme.pk).signing_secrets) == {secrets["signing secret"], SECRET}

    # A fault of the program while a secret is being stored: the page and the log say little of it.
    secrets["lost signing secret"] = new_secret()
    with monkeypatch.context() as patched:
        patched.setattr(ExternalSystem, "save", lambda *args, **options: 1 / 0)
        client.raise_request_exception = False
        broken = post_form(client, page, new_signing_secret=secrets["lost signing secret"])
    assert broken.status_code == 500
    assert secrets["lost signing secret"] not in text(broken)

    # The configuration file, from the environment, and one that cannot be used.
    secrets["secret in a file"] = new_secret()
    monkeypatch.setenv("GAMMA_SECRET", secrets["secret in a file"])
    PartnerUserFactory(username="gamma")
    file = tmp_path / "exchange.yaml"
    entry = "external_systems:\n- {system_id: GAMMA, authorized_user: gamma, delivery: push, signing_secret: '%s', "
    file.write_text((entry % "${GAMMA_SECRET}") + "endpoint_url: 'https://gamma.example/'}\n")
    said = io.StringIO()
    call_command("load_exchange", str(file), stdout=said)
    file.write_text((entry % secrets["refused signing secret"]) + "enabled: 3}\n")
    with pytest.raises(CommandError) as refusal:
        call_command("load_exchange", str(file))
    assert not any(secret in said.getvalue() + str(refusal.value) for secret in secrets.values())

    # Tokens: made in the administration, and by the command; right and wrong ones in calls.
    shown = post_form(client, "/admin/knox/authtoken/add/", user=str(UserFactory(username="clerk").pk))
    (secrets["token shown once"],) = set(re.findall(r"\b[0-9a-f]{64}\b", text(shown)))
    for kind in ("token", "deleted token"):
        printed = io.StringIO()
        call_command("create_api_token", "gamma", stdout=printed)
        secrets[kind] = printed.getvalue().strip()
    AuthToken.objects.latest("created").delete()
    for token in (secrets["token"], secrets["deleted token"]):
        client.get("/api/v1/changes/?page_size=many", headers={"Authorization": f"Bearer {token}"})

    # Passwords, right and wrong, and a second factor.
    secrets["password"], secrets["wrong password"] = "a-password-nobody-uses", "a-wrong-password-of-rob"
    rob = UserFactory(username="rob")
    rob.set_password(secrets["password"])
    rob.save()
    attempt(web(), "rob", secrets["wrong password"])
    secrets["TOTP secret"], codes = set_up_app(_signed_in_with(secrets["password"]))
    secrets["recovery code"] = codes[0]
    return secrets


def _signed_in_with(password: str):
    client = web()
    assert attempt(client, "rob", password).status_code == 302
    return client


def test_no_kind_of_secret_comes_out(acme, alice, logs, settings, monkeypatch, tmp_path):
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    partner = Partner()
    ExternalSystem.objects.filter(pk=acme.pk).update(endpoint_url=partner.url)
    secrets = everything_with_secrets(acme, root, monkeypatch, tmp_path)

    # An operation is signed and delivered.
    ChangeFactory(requested_by=alice, owning_group=acme.external_groups.get().group)
    delivery.drain()
    assert partner.received
    partner.close()
    call_command("dump_exchange", stdout=(dumped := io.StringIO()))
    call_command("dumpdata", stdout=(data := io.StringIO()))

    secrets |= {"SECRET_KEY": settings.SECRET_KEY, "field key": settings.FIELD_ENCRYPTION_KEYS[0]}
    places = {
        "logs": "\n".join(logs),
        "history of the administration": "\n".join(
            map(str, LogEntry.objects.values_list("object_repr", "change_message"))
        ),
        "database": all_tables(),
        "dump of the configuration": dumped.getvalue(),
        "dump of the data": data.getvalue(),
    }
    assert all(places.values()), "nothing was recorded there, so nothing was checked"
    found = [
        f"{kind} in the {place}" for kind, secret in secrets.items() for place, said in places.items() if secret in said
    ]
    assert found == []
    assert "ZeroDivisionError" in places["logs"]


def test_a_caller_s_text_does_not_look_like_a_line_of_the_log():
    written = io.StringIO()
    (handler,) = [each for each in logging.getLogger().handlers if each.name == "stderr"]
    former = handler.setStream(written)
    try:
        Client().get("/a%0a2026-11-29%20INFO%20forged%1b[2J")
    finally:
        handler.setStream(former)
    assert "Not Found: /a\\n2026-11-29 INFO forged\\x1b[2J\n" in written.getvalue()
    assert "\n2026-11-29 INFO forged" not in written.getvalue()


def test_the_messages_to_workers_carry_ids_only():
    current_app.loader.import_default_modules()
    ours = [task for name, task in current_app.tasks.items() if name.startswith(("changes.", "integrations."))]
    assert ours
    arguments = [(task.name, each) for task in ours for each in inspect.signature(task.run).parameters.values()]
    assert [(name, str(each)) for name, each in arguments if each.annotation not in {"int", int}] == []
