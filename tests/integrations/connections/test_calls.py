"""Calls as they are made and as people see them: addresses, queries, headers and bodies."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connections.evaluation.calls import AttachedFile, Call, Part
from integrations.connections.evaluation.conversation import Conversation, names_of
from integrations.connections.templating.faults import EvaluationFailed
from tests.examples import examples
from tests.rows import each_row

from .evaluation import ATTACHMENT, MESSAGE, NOW, REFERENCE, SECRETS, connection, conversation

pytestmark = pytest.mark.any_database


def call(keys: str, **message: object) -> Call:
    """The call of a step with these keys; its reference has the external id 12 unless the message says otherwise."""
    steps = "- name: send\n" + "\n".join(f"  {line}" for line in keys.splitlines())
    made = conversation(steps, **{"external_reference": REFERENCE, **message}).next_call()
    assert made is not None
    return made


HOST = "https://desk.example.com"
ADDRESSES = [
    ("get: /tickets", "/api/tickets"),
    ("get: '/ticket/{{ external_id }}'", "/api/ticket/12"),
    ("get: '/ticket/{{ external_id }}/comments?full=1'", "/api/ticket/12/comments?full=1"),
    ("get: '/t/{{ change.title }}'", "/api/t/Replace%20core%20switch"),
    ("get: '/t/{{ change.description }}'", "/api/t/%3Cb%3EF%C3%BC%C3%9Fe%3C%2Fb%3E%20%26%20%27H%C3%A4nde%27"),
    ("get: '/t/v{{ change.version }}'", "/api/t/v3"),
    ("get: '/größe/a b'", "/api/gr%C3%B6%C3%9Fe/a%20b"),
    ("get: '{{ external_url }}'", "/12"),
    ("get: \"{{ external_url ~ '/more?x=1' }}\"", "/12/more?x=1"),
    ("get: \"{{ 'https://desk.example.com:443/ä' }}\"", ":443/%C3%A4"),
    ("get: /x\nquery: {a: 1, b: '{{ change.title }}', c: true}", "/api/x?a=1&b=Replace%20core%20switch&c=true"),
    ("get: /x\nquery: {a: '{{ change.risk }}', b: '{{ omit }}', c: ''}", "/api/x?c="),
    ("get: /x\nquery: {a: [1, '{{ omit }}', '&=']}", "/api/x?a=1&a=%26%3D"),
    ("get: /x?y=1\nquery: {a: 1}", "/api/x?y=1&a=1"),
    ("get: /x\nquery: {a: '{{ change.risk }}'}", "/api/x"),
]


@each_row(("keys", "address"), ADDRESSES)
def test_the_address(keys, address):
    assert call(keys).url == HOST + address


REFUSED_ADDRESSES = [
    ("get: '/t/{{ change.risk }}'", "a value in a path is empty"),
    ("get: '/t/{{ omit }}'", "a value in a path is a text or a number"),
    ("get: '/t/{{ change.external_references }}'", "a list or a mapping is no text"),
    ("get: \"/t/{{ '..' }}\"", "a part of the path is . or .."),
    ("get: \"/t/{{ '.' }}{{ '.' }}/x\"", "a part of the path is . or .."),
    ("get: \"/t/%2e{{ '.' }}/x\"", "a part of the path is . or .."),
    ("get: \"{{ 'https://evil.example.com/x' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'http://desk.example.com/x' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'https://desk.example.com:8443/x' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'https://desk.example.com@evil.example.com/x' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'https://a@desk.example.com/x' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'https://desk.example.com/../x' }}\"", "a part of the path is . or .."),
    ("get: \"{{ '/tickets' }}\"", "no URL of the host of base_url"),
    ("get: \"{{ 'https://[x' }}\"", "the value is no URL"),
    ("get: '{{ change.risk }}'", "the URL is empty"),
]


@each_row(("keys", "message"), REFUSED_ADDRESSES)
def test_an_address_that_leads_elsewhere_refuses(keys, message):
    with pytest.raises(EvaluationFailed, match=r"outgoing.Assign\[0\] send: get") as failed:
        call(keys)
    assert message in failed.value.message


PATH = connection("- {name: send, get: '/t/{{ change.title }}/end'}")


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=20) | st.sampled_from(["..", ".", "a/b", "%2e%2e", "?x", "#x", "//evil", "\\", "a\r\nb", "ü"]))
def test_a_value_never_leaves_its_segment(typed):
    names = names_of({**MESSAGE, "change": {"title": typed}}, NOW)
    try:
        url = Conversation(PATH, "Assign", names, SECRETS).next_call().url
    except EvaluationFailed:
        assert typed in ("", ".", "..")
        return
    parts = urlsplit(url)
    kept = typed.encode("utf-8", "replace").decode()
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "desk.example.com", "", "")
    assert [unquote(segment) for segment in parts.path.split("/")] == ["", "api", "t", kept, "end"]


JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TEXT = "text/plain; charset=utf-8"
PDF = "post: /x\nfile: true\nheaders: {Content-Type: '{{ attachment.content_type }}'}"
BODIES = [
    ("post: /x", None, b""),
    ("post: /x\njson: {a: '{{ change.version }}', ü: [null, true, 1.5]}", JSON, '{"a":3,"ü":[null,true,1.5]}'.encode()),
    ("post: /x\njson: '{{ changed_fields.owning_group }}'", JSON, b'{"old":"Network","new":"Desk"}'),
    ("post: /x\nform: {a: '{{ system }} &', b: [1, 2], c: '{{ omit }}'}", FORM, b"a=DESK%20%26&b=1&b=2"),
    ("post: /x\ntext: 'Füße {{ change.version }}'", TEXT, "Füße 3".encode()),
    ("post: /x\ntext: '{{ change.risk }}'", TEXT, b""),
    ("post: /x\njson: 1\nheaders: {content-type: application/vnd.api+json}", None, b"1"),
    ("put: /x\nfile: true", "application/octet-stream", AttachedFile()),
    (PDF, "application/pdf", AttachedFile()),
]


@each_row(("keys", "content_type", "body"), BODIES)
def test_the_body(keys, content_type, body):
    made = call(keys, attachment=ATTACHMENT)
    assert (made.headers.get("Content-Type"), made.body) == (content_type, body)


# What a file may be that came from elsewhere: its name would end a header.
@each_row(("key", "value"), [("file_name", "a\r\nX: y.pdf"), ("file_name", "a\x00.pdf"), ("content_type", "a/b\nX: y")])
def test_a_file_whose_name_would_end_a_header_refuses(key, value):
    with pytest.raises(EvaluationFailed) as failed:
        call("post: /x\nmultipart:\n  - {part: file, file: true}", attachment={**ATTACHMENT, key: value})
    assert failed.value.path == "outgoing.Assign[0] send: multipart[0].file"
    assert "attach the file anew, with another name" in failed.value.message


def test_multipart():
    made = call(
        """
post: /x
multipart:
  - {part: JSON, json: {Content: "{{ attachment.file_name }}"}}
  - {part: note, text: "{{ change.title }}"}
  - {part: typed, text: x, content_type: text/html}
  - {part: Attachments, file: true}""",
        attachment=ATTACHMENT,
    )
    assert made.headers == {}
    assert made.body == (
        Part("JSON", '{"Content":"Größe.pdf"}'.encode(), "application/json"),
        Part("note", b"Replace core switch"),
        Part("typed", b"x", "text/html"),
        Part("Attachments", AttachedFile(), "application/pdf", "Größe.pdf"),
    )
    assert made.shown().body.endswith('--- Attachments; filename="Größe.pdf" (application/pdf)\n(the attached file)')


REFUSED = [
    ("put: /x\nfile: true", "file: the operation has no attachment"),
    ("put: /x\nmultipart: [{part: a, file: true}]", "multipart[0].file: the operation has no attachment"),
    ("put: /x\njson: '{{ omit }}'", "json: omit leaves nothing of the body"),
    ("put: /x\nform: {a: '{{ changed_fields }}'}", "form.a: a list or a mapping is no text"),
    ("put: /x\nheaders: {A: '{{ changed_fields }}'}", "headers.A: a list or a mapping is no text"),
    ('put: /x\nheaders: {A: "a{{ change.title }}\\r\\nB: c"}', "headers.A: a header has no line ends"),
    ("put: /x\nheaders: {A: '{{ secret.MISSING }}'}", "headers.A: the secret MISSING is not written"),
]


@each_row(("keys", "message"), REFUSED)
def test_what_refuses(keys, message):
    with pytest.raises(EvaluationFailed) as failed:
        call(keys)
    assert str(failed.value).startswith(f"outgoing.Assign[0] send: {message}")


def test_headers():
    made = call(
        "get: /x\nheaders: {Accept: application/json, X-Number: '{{ change.version }}', X-None: '{{ change.risk }}'}"
    )
    assert made.headers == {"Accept": "application/json", "X-Number": "3"}


# --- Secrets ---

SECRET_PLACES = [
    "headers: {X-Key: '{{ secret.KEY }}'}",
    "headers: {X-Key: \"{{ (secret.KEY ~ ':' ~ secret.OTHER)|upper }}\"}",
    "json: {key: 'a {{ secret.KEY }} b', list: ['{{ secret.OTHER }}']}",
    "form: {key: '{{ secret.KEY }}'}",
    'text: \'{{ secret.KEY|replace("-", "") }}\'',
    "text: '{{ secret[\"KEY\"] }}'",
    "multipart: [{part: key, text: '{{ secret.KEY }}'}, {part: j, json: ['{{ secret.OTHER }}']}]",
    "text: \"{% if secret.KEY[:3] == 'key' %}it is key{% else %}other{% endif %}\"",
    "text: \"{{ {'key-of-the-desk': 1, '•••': 2}[secret.KEY] }}\"",
    "text: '{{ change.description }}'",  # in which somebody wrote a secret
]


@each_row("keys", SECRET_PLACES)
def test_no_secret_is_shown(keys):
    change = {**MESSAGE["change"], "description": "The key is key-of-the-desk."}
    made = call(f"post: /x\n{keys}", change=change)
    text = made.shown().text()
    assert made.headers or made.body
    for secret in SECRETS.values():
        for form in (secret, secret.upper(), secret.replace("-", "")):
            assert form not in text
    assert "it is key" not in text
    assert "key-of-the-desk" not in repr(made)


def test_a_shown_call_reads_like_a_message():
    made = call("post: /x\nheaders: {X-Key: '{{ secret.KEY }}'}\njson: {a: 1}")
    shown = "POST https://desk.example.com/api/x\nX-Key: •••\nContent-Type: application/json\n\n" + '{"a":1}'
    assert made.shown().text() == shown
    assert made.shown().text(20) == shown[:20]
    assert made.headers["X-Key"] == "key-of-the-desk"


def test_a_call_whose_template_looks_into_a_secret_is_hidden():
    made = call("post: /x\nheaders: {A: b}\ntext: \"{{ secret.KEY[:3]|table('kinds') }}\"")
    assert made.body == b"5"
    assert made.shown().text() == "POST https://desk.example.com/api/x\nA: •••\nContent-Type: •••\n\n•••"


def test_a_failure_never_quotes_a_secret():
    with pytest.raises(EvaluationFailed) as failed:
        call("post: /x\ntext: \"{{ secret.KEY|table('strict') }}\"")
    assert "key-of-the-desk" not in str(failed.value)
    assert "may quote a secret" in failed.value.message


MASKED = connection(
    """
    - name: send
      post: /x
      headers: {A: "{{ secret.KEY }}"}
      json: ["{{ secret.KEY|tojson }}", "{{ secret.KEY|html }}"]
    """
)


@settings(max_examples=examples(150), deadline=None)
@given(st.text(alphabet=st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc"]), min_size=4, max_size=20))
def test_no_secret_is_ever_shown(secret):
    names = names_of({**MESSAGE, "change": {}}, NOW)
    made = Conversation(MASKED, "Assign", names, {"KEY": secret}).next_call()
    shown = made.shown()
    assert made.headers["A"] == secret
    assert shown.headers["A"] == "•••"
    assert json.loads(shown.body)[1] == "•••"
