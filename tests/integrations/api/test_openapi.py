"""The OpenAPI description: served, valid, and matched by every answer to generated calls."""

import copy
import re
import unicodedata
from collections.abc import Iterator

import pytest
import schemathesis
from django.core.files.base import ContentFile
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, Phase, given, settings
from knox.models import AuthToken
from playwright.sync_api import expect
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from changes.models import Attachment, Change, Comment
from integrations.api.outbox import LONGEST_WAIT
from integrations.outgoing import outbox
from tests.examples import examples
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, SupportGroupFactory, change_in

API = "/api/v1/"
CALLS = [
    "GET attachments/{id}/content/",
    "GET changes/",
    "POST changes/",
    "GET changes/{number}/",
    "PATCH changes/{number}/",
    "GET changes/{number}/approvals/",
    "POST changes/{number}/approvals/",
    "GET changes/{number}/attachments/",
    "POST changes/{number}/attachments/",
    "GET changes/{number}/comments/",
    "POST changes/{number}/comments/",
    "GET changes/{number}/transitions/",
    "POST changes/{number}/transitions/",
    "POST operations/",
    "GET outbox/",
    "POST outbox/acknowledge/",
    "POST outbox/{id}/acknowledge/",
]
SOUND = ["2xx", "3xx", "401", "403", "404", "409", "429"]


@pytest.fixture(scope="module")
def description():
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_description_is_served_to_anybody(api, description):
    answer = api().get(f"{API}schema/", HTTP_ACCEPT="application/vnd.oai.openapi+json")
    assert answer.status_code == 200
    assert answer.json() == description
    assert api().get(f"{API}schema/").headers["Content-Type"].startswith("application/vnd.oai.openapi")


def test_the_description_is_valid_and_complete(description, capsys):
    validate_schema(description)
    assert description["openapi"].startswith("3.")
    described = {
        f"{method.upper()} {path.removeprefix(API)}" for path, item in description["paths"].items() for method in item
    }
    assert described == set(CALLS)
    for item in description["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert operation["security"] == [{"token": []}]
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
    assert "Warning" not in capsys.readouterr().err


def test_the_page_shows_the_calls_and_asks_no_other_host(page, live_server):
    errors, hosts = [], set()
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda sent: hosts.add(sent.url.split("/api/")[0].split("/static/")[0]))
    answer = page.goto("/api/v1/docs/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    expect(page.get_by_text("Changes that you see")).to_be_visible()
    page.get_by_text("Changes that you see").click()
    expect(page.get_by_text("Words, or phrases in quotes, that the number")).to_be_visible()
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_text("(http, Bearer)")).to_be_visible()
    assert errors == []
    assert hosts == {live_server.url}


def test_what_may_be_written_is_what_is_described(description):
    fields = description["components"]["schemas"]["ChangeWriteRequest"]
    assert fields["required"] == ["title"]
    assert "phase" not in fields["properties"]
    assert fields["properties"]["planned_start"] == {"type": "string", "format": "date-time", "nullable": True}
    assert "external_references" in description["components"]["schemas"]["Change"]["properties"]


@pytest.fixture
def world(carol, acme):
    """A change with an attachment, that can be moved, approved and commented on; and an operation that was collected.

    The id of an attachment and that of an operation are by the first part of the call's address.
    """
    change = change_in("ApprovePlan", owning_group=SupportGroupFactory(name="ACME Networks"))
    attachment = Attachment(change=change, author=carol, file=ContentFile(b"x", name="x"), file_name="x.txt")
    attachment.save()
    Comment(change=change, author=carol, body="Hello").save()
    pulls = ExternalSystemFactory(system_id="ACME-2", authorized_user=acme.authorized_user, delivery="pull")
    given = ChangeFactory(owning_group=ExternalGroupFactory(system=pulls).group)
    (collected,) = outbox.hand_out(pulls, None, 1).operations
    Comment(change=given, author=carol, body="For the next to collect").save()
    return {"number": change.number, "attachments": attachment.pk, "outbox": str(collected.pk)}


@pytest.fixture(scope="module")
def calls(description):
    """All calls as described, of the WSGI application. Each test gives its own token, so none is made up.

    Each call leaves the database connection of the test open, as Django's test client does.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    described = copy.deepcopy(description)
    for item in described["paths"].values():
        for operation in item.values():
            del operation["security"]
    calls = schemathesis.openapi.from_dict(described)
    calls.app = WSGIHandler()
    checks = calls.config.checks
    # A request may be well-formed and yet against a rule, or against the version that it names; a bad one too large.
    checks.positive_data_acceptance.expected_statuses = [*SOUND, "400", "412", "422"]
    checks.negative_data_rejection.expected_statuses = [str(status) for status in range(400, 430)]
    yield calls
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


# An array with one string that looks like a number or a truth value is the same in an address as the string: the check
# takes it for bad data.
UNJUST = {"GET changes/": [negative_data_rejection]}


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts_in([*value, *value.values()])
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)


def has_hidden(text: str) -> bool:
    """Whether it has characters that nobody sees. They are left out, so a text that is too long with them is taken."""
    return any(unicodedata.category(character) in ("Cc", "Cf") for character in text)


# They take nothing that could be wrong, except the token.
NEVER_WRONG = {"GET attachments/{id}/content/", "GET changes/{number}/", "GET changes/{number}/transitions/"}
# A call that may wait for half a minute is answered as one that may wait for a second.
LONG_WAITS = {str(seconds) for seconds in range(2, LONGEST_WAIT + 1)}


@pytest.mark.parametrize("call", CALLS)
def test_no_call_fails_and_every_answer_is_as_described(carol, acme, world, calls, call):
    """More than 1,100 different calls in all, with all of schemathesis' checks: each as staff and as a partner."""
    tokens = [AuthToken.objects.create(user)[1] for user in (carol, acme.authorized_user)]
    method, path = call.split(" ")
    names = {"number": "number", "id": path.split("/")[0]}
    parameters = {name: world[names[name]] for name in re.findall("{(.*?)}", path)}
    operation = calls[API + path][method]
    for wrong in {}, {"Authorization": "Bearer of-nobody"}:
        assert operation.Case(path_parameters=parameters).call(headers=wrong).status_code == 401
    modes = [GenerationMode.POSITIVE, *([] if call in NEVER_WRONG else [GenerationMode.NEGATIVE])]
    for mode in modes:
        strategy = operation.as_strategy(generation_mode=mode, path_parameters=parameters or None)
        if mode is GenerationMode.NEGATIVE:
            strategy = strategy.filter(lambda case: not any(map(has_hidden, texts_in(case.body))))

        @settings(
            max_examples=examples(20),
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def conforms(case):
            if str(case.query.get("wait")) in LONG_WAITS:
                case.query["wait"] = type(case.query["wait"])(1)
            for token in tokens:  # to make up a case takes as long as its call
                if token == tokens[-1] and isinstance(case.body, dict) and "system_id" in case.body:
                    case.body["system_id"] = "ACME"
                with transaction.atomic():
                    case.call_and_validate(
                        headers={"Authorization": f"Bearer {token}"}, excluded_checks=UNJUST.get(call, [])
                    )
                    transaction.set_rollback(True)

        conforms()
    assert Change.objects.count() == 2
