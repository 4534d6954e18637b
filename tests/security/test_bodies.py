"""What callers may send at most: each budget is exceeded as an outsider or a partner would do it."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from django.test import Client
from hypothesis import assume, given
from hypothesis import strategies as st

from changes.api.json_scan import MAX_DEPTH, MAX_VALUES, scan
from changes.models import Change
from integrations.models import IncomingOperation
from tests.factories import ChangeFactory, ExternalSystemFactory
from tests.pages import text, web

OPERATIONS = "/api/v1/operations/"
MIB = 1024 * 1024
LIST = '"title": [' + "1," * 300_000 + "1]"
DEEP = '"title": ' + "[" * 12_000 + "]" * 12_000
LONG = f'"title": "{"x" * MIB}"'
CONTENT = "QUJD" * 300_000  # 1.2 MB of base64
HIDDEN = f'"properties": {{"content_base64": "{CONTENT}"}}'
# A text without an end, in which each quote could begin another one. Looking for them all took an hour.
ENDLESS = '"title": "' + '\\"' * 250_000
WORDS = [f"word{number}" for number in range(10)]
REFUSED = {
    "a list of 300,000 numbers": (LIST, 413, "too many values: at most 10000"),
    "12,000 levels": (DEEP, 400, "nested too deeply: at most 20 levels"),
    "a text of 1 MiB": (LONG, 413, "at most 1048576 bytes"),
    "content where there is no attachment": (HIDDEN, 413, "attachments not counted"),
}


def post(client, body):
    return client.generic("POST", OPERATIONS, body, "application/json")


@pytest.mark.parametrize("name", REFUSED)
def test_a_large_operation_is_refused_before_it_is_parsed(acme, partner_api, name, monkeypatch):
    more, status, said = REFUSED[name]
    monkeypatch.setattr("changes.api.parsers.loads", lambda text: pytest.fail("it was parsed"))
    answer = post(partner_api(acme), f'{{"system_id": "ACME", "operation": "Create", "external_id": "1", {more}}}')
    assert answer.status_code == status and said in answer.json()["detail"], answer.content[:500]
    assert not Change.objects.exists()
    (logged,) = IncomingOperation.objects.all()  # what is kept of it is bounded too
    assert len(json.dumps(logged.payload)) < 70_000


def test_a_text_without_an_end_is_looked_through_once(acme, partner_api):
    answer = post(partner_api(acme), f'{{"system_id": "ACME", "operation": "Create", {ENDLESS}')
    assert answer.status_code == 400


def test_a_search_has_at_most_ten_words(api, alice):
    """Each is looked for in many spellings and places, so a hundred of them took seconds."""
    for words, status in ((WORDS, 200), ([*WORDS, *WORDS], 200), ([*WORDS, "another"], 400)):
        answer = api(alice).get("/api/v1/changes/", {"search": " ".join(words)})
        assert answer.status_code == status
    assert "Search for at most 10 words." in answer.json()["detail"]
    page = web(alice).get("/changes/", {"q": " ".join([*WORDS, "another"])})
    assert "Search for at most 10 words." in text(page)


def test_in_another_systems_name_a_large_operation_is_not_even_parsed(acme, beta, partner_api, monkeypatch):
    monkeypatch.setattr("changes.api.parsers.loads", lambda text: pytest.fail("it was parsed"))
    answer = post(partner_api(acme), f'{{"operation": "Create", {LONG[:100_000]}", "system_id": "BETA"}}')
    assert answer.status_code == 403 and "not the system's authorized user" in answer.json()["detail"]


def test_the_content_of_an_attachment_comes_on_top(acme, partner_api):
    attachments = [{"file_name": "plan.pdf", "content_base64": CONTENT}]
    sent = {"system_id": "ACME", "operation": "Create", "external_id": "1", "properties": {"title": "Switch"}}
    answer = post(partner_api(acme), json.dumps({**sent, "attachments": attachments}))
    assert answer.status_code == 201, answer.content
    assert Change.objects.get().attachments.get().size == 900_000


def test_scanning_takes_no_memory_to_speak_of():
    """A body of brackets would be parsed into hundreds of megabytes of objects."""
    body = b'{"title": "' + b"\\" * 2 * MIB + b'", "x": "' + b"y" * 4 * MIB
    tracemalloc.start()
    scan(body)
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()


TEXT = st.text('ab",:[]{}\\ é', max_size=4)
JSON = st.recursive(
    st.none() | st.integers(0, 99) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def values_of(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(values_of, inner))


def depth_of(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, dict | list) and value else 0


@given(JSON, st.booleans())
def test_the_scan_counts_as_the_parser_would(value, is_spaced):
    body = json.dumps(value, indent=1 if is_spaced else None, ensure_ascii=is_spaced).encode()
    values, depth = values_of(value), depth_of(value)
    assume(values > 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("changes.api.json_scan.MAX_VALUES", values)
        patch.setattr("changes.api.json_scan.MAX_DEPTH", max(depth, 1))
        scan(body)
        patch.setattr("changes.api.json_scan.MAX_VALUES", values - 1)
        with pytest.raises(Exception, match="too many values"):
            scan(body)
    assert MAX_VALUES == 10_000 and MAX_DEPTH == 20


@given(st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=3), max_size=4))
def test_the_scan_finds_the_texts_at_the_top(value):
    texts = {key: text for key, text in value.items() if isinstance(text, str)}
    assert scan(json.dumps(value).encode()).texts == texts


# --- Forms ---


class Unread:
    """A body that fails the test if it is read."""

    def read(self, *args):
        raise AssertionError("it was read")

    readline = readinto = read


MULTIPART, FORM = "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"
FORMS = {
    "multipart to a page without files": (True, "/changes/{number}/comments/", MULTIPART, 65 * 1024),
    "multipart to the sign-in": (False, "/accounts/login/", MULTIPART, 65 * 1024),
    "a form of 2 MiB without a session": (False, "/changes/{number}/comments/", FORM, 2 * MIB),
    "files of 2 MiB without a session": (False, "/changes/{number}/attachments/", MULTIPART, 2 * MIB),
    "a form of 9 MiB": (True, "/changes/{number}/edit/", FORM, 9 * MIB),
    "multipart to the admin": (True, "/admin/login/", MULTIPART, 65 * 1024),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_too_large_for_its_page_is_refused_unread(alice, name):
    is_signed_in, path, kind, size = FORMS[name]
    client = Client()
    if is_signed_in:
        client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.generic(
        "POST",
        path.format(number=ChangeFactory().number),
        b"x",
        kind,
        CONTENT_LENGTH=str(size),
        **{"wsgi.input": Unread()},
    )
    assert answer.status_code == 413 and "Nothing was changed" in answer.text


def test_nothing_is_read_of_a_call_without_a_valid_token(db, api):
    ExternalSystemFactory(system_id="ACME")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = api().generic(
            "POST",
            OPERATIONS,
            b"x",
            "application/json",
            headers=headers,
            CONTENT_LENGTH="500",
            **{"wsgi.input": Unread()},
        )
        assert answer.status_code == 401
