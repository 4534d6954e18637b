"""Every fault of a document, with its line and its column."""

from __future__ import annotations

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connections.document import FaultyDocument, connection_of, faults_of
from tests.examples import examples
from tests.rows import each_row

pytestmark = pytest.mark.any_database


def faults(text: str) -> list[str]:
    """The faults, without the beginning of paths that all tests of a step share."""
    return [
        f"{one.line}:{one.column}: {one.path.removeprefix('outgoing.Assign[0] send: ')}: {one.message}"
        for one in faults_of(text)
    ]


BASE = "base_url: https://desk.example.com\n"
STEP = BASE + "tables: {priority: {High: 1}}\noutgoing:\n  Assign:\n    - name: send\n      post: /x\n      "
POLL = (
    BASE
    + "poll:\n  every: 60\n  list: {get: /x, items: '{{ body }}'}\n  cursor: '{{ item.id }}'\n"
    + ("  external_id: '{{ item.id }}'\n  operation: {operation: Update}\n  ")
)

WHOLE = [
    ("", "1:1: : The document is empty."),
    ("base_url: [", "1:12: : Not valid YAML: expected the node content, but found '<stream end>'."),
    ("base_url: a\n\tb: c", "2:1: : Not valid YAML: indent with spaces, not with a tab."),
    ("a: \x07", "1:4: : Not valid YAML: a character that may not stand here."),
    ("--- 1\n--- 2", "2:1: : Not valid YAML: but found another document."),
    ("- 1", "1:1: : Write a mapping here, as in key: value."),
    ("{}", "1:1: : The key base_url is missing."),
    ("? [a]\n: b\n" + BASE, "1:3: : A key is a text."),
    (BASE + "base_url: https://x", "2:1: : The key base_url stands here twice."),
    (BASE + "outgoin: {}", "2:1: outgoin: There is no key outgoin. Did you mean outgoing?"),
    (
        "base_url: ftp://x",
        "1:11: base_url: Write a URL as in https://desk.example.com/api. With ftp:// nothing can be called,",
    ),
    ("base_url: 5", "1:11: base_url: Write a text here."),
    (BASE + "pause_on: [1]", "2:12: pause_on: Write HTTP statuses, as in [200, 201]."),
    (BASE + "pause_on: {a: 1}", "2:11: pause_on: Write a single value here."),
    (BASE + "tables: {a: {b: '{{ c }}'}}", "2:17: tables.a.b: A table has no templates."),
    (BASE + "tables: {a: {b: [1]}}", "2:17: tables.a.b: Write a single value here."),
    (BASE + "tables: {a: !!python/none x}", "2:13: tables.a: Write a mapping here, as in key: value."),
    (BASE + "tables: {a: {b: !x y}}", "2:17: tables.a.b: The tag !x is not available."),
    (BASE + "outgoing: {Create: []}", "2:12: outgoing.Create: There is no key Create. Known here: Assign,"),
    (BASE + "outgoing: {Assign: {}}", "2:20: outgoing.Assign: Write a list here, as in - one."),
    (BASE + 'ca: "\\ud800"', "2:5: ca: This text has a character that cannot be written in UTF-8."),
    (BASE + "outgoing:\n  Assign: &a [*a]", "3:11: outgoing.Assign[0]: Write a mapping here, as in key: value."),
]


# A line of a document, where the slip of its author is, and what is told.
UNQUOTED = 'Put the template in quotes: "{{ comment.body }}".'
MORE = "this line is indented more than the one above it, which has its value already. The lines of one mapping begin"
SLIPS = [
    (STEP + "when: {{ comment }}", '7:13: when: Put the template in quotes: "{{ comment }}".'),
    (STEP + "text: {{ comment.body }}", f"7:13: text: {UNQUOTED}"),
    (STEP + "json: {a: {{ comment.body }}}", f"7:17: json.a: {UNQUOTED}"),
    (STEP + "json:\n        - {{ comment.body }}", f"8:11: json[0]: {UNQUOTED}"),
    (STEP + "query: {{ comment.body }}", f"7:14: query: {UNQUOTED}"),
    (STEP + 'text: {{ comment.body|d("") }}', "7:13: text: Put the template in quotes: '{{ comment.body|d(\"\") }}'."),
    (STEP + "text: {{ comment.body }}: more", '7:31: : Put the template in quotes: "{{ comment.body }}: more".'),
    (STEP + "text: From: {{ system }}", '7:17: : Put the template in quotes: "From: {{ system }}".'),
    (STEP + "text: {% if comment %}a{% endif %}", '7:14: : Put the template in quotes: "{% if comment %}a{% end'),
    (STEP + "json: {a: {{ comment['body'] }}}", '7:27: : Put the template in quotes, as in "{{ item.text }}".'),
    (STEP + "  json: {a: '{{ system }}'}", f"7:13: : Not valid YAML: {MORE}"),
    (BASE + "auth:\n  kind: basic\n    username: a", f"4:13: : Not valid YAML: {MORE}"),
    (
        BASE + "auth:\n  kind: basic\n username: a",
        "4:2: : Not valid YAML: this line is indented differently from",
    ),
    (BASE + "auth: a: b", "2:8: : Not valid YAML: a text with a colon and a space in it stands in quotes."),
    (BASE + "auth none\nca: b", "3:1: : Not valid YAML: the line above has no colon with a space behind it"),
    (BASE + 'ca: "abc\n', "2:5: : Not valid YAML: the quote that begins here has no end."),
    (
        BASE + "auth: {kind: basic\nca: 2",
        "3:3: : Not valid YAML: here a comma is missing, or } for the list",
    ),
    (BASE + "ca: *key", "2:5: : Not valid YAML: *key repeats what is marked &key further up, and nothing is."),
    (BASE + "ca: @key", "2:5: : Not valid YAML: a text that begins with @ stands in quotes."),
    (BASE + 'ca: "a\\q"', "2:8: : Not valid YAML: \\q means nothing in double quotes. Write \\\\ for a backslash"),
    ("base_url: desk.example.com", "1:11: base_url: Write a URL as in https://desk.example.com/api. It begins with"),
    ("base_url: https://", "1:11: base_url: Write a URL as in https://desk.example.com/api. The host is missing."),
    ("base_url: https://a:b@x", "1:11: base_url: Write a URL as in https://desk.example.com/api. User and password"),
    ("base_url: https://x?y=1", "1:11: base_url: Write a URL as in https://desk.example.com/api. It has no ? and no #"),
]


@each_row(("text", "fault"), SLIPS)
def test_a_slip_is_told_in_plain_words_and_once(text, fault):
    found = faults(text)
    assert [one for one in found if one.startswith(fault)] == found[:1], found
    assert len({one.partition(":")[0] for one in found if "quotes" in one}) < 2


@each_row(("text", "fault"), WHOLE)
def test_a_document_as_a_whole(text, fault):
    found = faults(text)
    assert any(one.startswith(fault) for one in found), found


STEPS = [
    ("get: /y", "7:7: get: Give one method: post or get."),
    ("tex: a", "7:7: outgoing.Assign[0].tex: There is no key tex. Did you mean text?"),
    ("json: 1\n      text: a", "8:7: text: Give one body: json or text."),
    ("expect: 99", "7:15: expect: Write HTTP statuses, as in [200, 201]."),
    ("expect: [200, 503]", "7:15: expect: 503 is always retried, so it cannot be expected."),
    ("expect: 401", "7:15: expect: 401 pauses the system (pause_on), so it cannot be expected."),
    ("expect: []", "7:15: expect: Write at least one status, as in [200, 201]."),
    ("headers: {A: b, a: c}", "7:23: headers.a: This header stands here twice."),
    ("once: maybe", "7:13: once: Write true or false."),
    ("when: always", "7:13: when: A condition is one expression, as in"),
    ("when: '{{ 1 }} or {{ 0 }}'", "7:13: when: A condition is one expression, as in"),
    ("headers: {A B: c}", "7:17: headers.A B: This is no name of a header."),
    ("headers: {Host: c}", "7:17: headers.Host: Host is set by itself."),
    ("headers: {A: [b]}", "7:20: headers.A: Write a single value here."),
    ("form: [a]", "7:13: form: Write a mapping here, as in key: value."),
    ("file: false", "7:13: file: Write true, or leave it out."),
    ("multipart: [{text: a}]", "7:19: multipart[0]: The key part is missing."),
    ("multipart: [{part: a}]", "7:19: multipart[0]: Give one content: json, text, file."),
    ("result: {id: 1}", "7:15: result: There is no id: external_id, external_url and"),
    # Templates, at the place in the text
    ("json: {a: '{{ chnge.title }}'}", "7:21: json.a: There is no name chnge here. Did you mean change?"),
    ('json: {a: "é \\" {{ chnge }}"}', "7:26: json.a: There is no name chnge here."),
    ("text: |\n        {{ change }}\n        and {{ chnge }}", "9:16: text: There is no name chnge here."),
    ("text: chnge {{ chnge }}", "7:22: text: There is no name chnge here."),
    ("text: '{{ change.title|uper }}'", "7:30: text: There is no filter uper. Did you mean upper?"),
    ("text: '{{ change is defned }}'", "7:27: text: There is no test defned. Did you mean defined?"),
    ("text: '{{ change is not defned }}'", "7:31: text: There is no test defned."),
    ("text: '{{ rnge(3) }}'", "7:17: text: There is no function rnge. Did you mean range?"),
    ("text: '{{ debug() }}'", "7:17: text: There is no function debug."),
    ("text: '{{ 1|table }}'", "7:19: text: Name the table, as in |table('priority')."),
    ("text: '{{ 1|table(system) }}'", "7:19: text: Name the table, as in |table('priority')."),
    ("text: \"{{ 1|table('prio') }}\"", "7:19: text: There is no table prio. Did you mean priority?"),
    ("text: '{{ change.title + }}'", "7:32: text: Not a valid template: unexpected end of variable block."),
    ("text: |\n        a\n        {% for %}", "9:16: text: Not a valid template: unexpected end of block, expec"),
    ("text: '{{ change'", "7:17: text: Not a valid template: unexpected end of input"),
    # Names of other places
    ("text: '{{ status }}'", "7:17: text: There is no name status here."),
    ("query: {a: '{{ secret.A }}'}", "7:22: query.a: A secret can be used in auth, headers and bodies only."),
    ("result: {external_id: '{{ secret.A }}'}", "7:33: result.external_id: A secret can be used in auth,"),
    ("save: {a: '{{ secret.A }}'}", "7:21: save.a: A secret can be used in auth,"),
    ("when: '{{ secret.A }}'", "7:17: when: A secret can be used in auth,"),
    ("text: '{{ secret }}'", "7:17: text: Name one secret, as in secret.API_KEY."),
    ("text: '{{ secret|tojson }}'", "7:17: text: Name one secret, as in secret.API_KEY."),
    ("text: '{{ secret[system] }}'", "7:17: text: Name one secret, as in secret.API_KEY."),
    ("text: '{% for s in secret %}{% endfor %}'", "7:26: text: Name one secret,"),
    ("text: '{{ item }}'", "7:17: text: There is no name item here."),
    ("text: '{{ settings }}'", "7:17: text: There is no name settings here."),
    ("text: '{{ steps.find.id }}'", "7:17: text: There is no earlier step find."),
    ("text: '{{ steps }}'", "7:17: text: Name one step and one key that it saved"),
    # What could not be bounded
    ("text: '{{ change.title.upper() }}'", "7:35: text: A value has no methods"),
    ("text: '{{ change[system]() }}'", "7:31: text: A value has no methods"),
    ("text: '{{ [change, change] }}'", "7:17: text: A list or mapping in a template holds constants only."),
    ("text: '{{ {\"a\": change} }}'", "7:17: text: A list or mapping in a template holds constants"),
    ("text: '{{ [0] * 9000 }}'", "7:21: text: Multiply by a number, and only what |int or |float gives"),
    ("text: '{{ system * 9000 }}'", "7:24: text: Multiply by a number"),
    ("text: '{{ 9000 * changed_fields }}'", "7:22: text: Multiply by a number"),
    ("text: '{{ x|batch(9, x) }}'", "7:19: text: There is no filter batch."),
    ("text: \"{{ x|map('default', change) }}\"", "7:19: text: |map takes attribute='NAME', or"),
    ("text: '{% set a = 1 %}'", "7:17: text: The statement set is not available. Use if and for."),
    ("text: \"{% include 'x' %}\"", "7:17: text: The statement include is not available."),
    ("text: '{% macro f() %}{% endmacro %}'", "7:17: text: The statement macro is not available."),
    ("text: '{% for a in range(3) recursive %}{% endfor %}'", "7:35: text: A recursive loop is not"),
    ("text: '{{ " + "1+" * 10_001 + "1 }}'", "7:13: text: A template has at most 20000 characters."),
    ("text: '{{ " + "(" * 500 + "1" + ")" * 500 + " }}'", "template exceeds maximum recursion limits"),
]  # fmt: skip


@each_row(("key", "fault"), STEPS)
def test_a_step(key, fault):
    found = faults(STEP + key)
    assert any(fault in one for one in found), found


ADDRESSES = ["x", "//evil.example.com/x", "https://desk.example.com/x", "'{{ change.number }}/x'", "''", "[a]"]


@each_row("address", ADDRESSES)
def test_the_address_of_a_step(address):
    text = (
        BASE + f"outgoing:\n  Assign:\n    - name: send\n      get: {address!r}"
        if address[0] not in "'["
        else (BASE + f"outgoing:\n  Assign:\n    - name: send\n      get: {address}")
    )
    assert any(one.startswith("5:12: get: Write a path that begins with /") for one in faults(text))


PARTS = [
    ("auth: nobody", "2:7: auth.kind: Write one of none, basic, bearer"),
    ("auth: basic", "2:7: auth: The key username is missing."),
    ("auth: {kind: header, name: A B, value: c}", "2:28: auth.name: This is no name of a header that can be set."),
    ("auth: {username: a}", "2:7: auth: The key kind is missing."),
    ("auth: {kind: basik}", "2:14: auth.kind: Write one of none, basic, bearer"),
    ("auth: {kind: basic, username: a}", "2:7: auth: The key password is missing."),
    ("auth: {kind: bearer, token: a, scope: b}", "2:32: auth.scope: bearer has no scope."),
    ("auth: {kind: bearer, token: a-token}", "2:29: auth.token: Write it under Secrets, and name that here"),
    ("auth: {kind: header, name: X, value: 'token abc'}", "2:38: auth.value: Write it under Secrets"),
    ("auth: {kind: bearer, token: '{{ change.title }}'}", "2:33: auth.token: There is no name change here."),
    ("auth: {kind: login, request: {post: x}, token: a, send: {}}", "2:37: auth.request.post: Write a path"),
    ("auth: {kind: login, request: {post: /x}, token: a, send: {}}", "2:58: auth.send: Give one place of the token"),
    ("poll: {}", "2:7: poll: The key every is missing."),
    ("poll: {every: 9}", "2:15: poll.every: Write a number from 10 to 604800."),
    ("poll: {list: {get: /x}}", "2:14: poll.list: The key items is missing."),
    ("poll: {cursor: '{{ entry.id }}'}", "2:20: poll.cursor: There is no name entry here."),
    ("poll: {operation: {operation: Update, titel: x}}", "2:39: poll.operation.titel: There is no key titel."),
    ("poll: {read: [{name: a, get: /x, result: {}}]}", "2:34: poll.read[0].result: There is no key result."),
    ("inbox: {}", "2:8: inbox: The key verify is missing."),
    ("inbox: {verify: magic, operations: []}", "2:17: inbox.verify.kind: Write one of token, basic"),
    ("inbox: {verify: {kind: hmac}, operations: []}", "2:17: inbox.verify: The key secret is missing."),
    ("inbox: {verify: {kind: basic, header: X}, operations: []}", "2:31: inbox.verify.header: basic has no header."),
    ("inbox: {verify: {kind: hmac, header: X, secret: '{{ a }}'}, operations: []}", "2:49: inbox.verify.secret: "),
    ("inbox: {verify: token, operations: [{operation: Destroy}]}", "2:49: inbox.operations[0].operation: Write one of"),
    ("poll: {operation: {operation: update}}", "2:31: poll.operation.operation: Write one of Create, Update, Assign"),
    ("inbox: {verify: token, operations: [{operation: '{{ item }}'}]}", "2:53: inbox.operations[0].operation: There"),
    ("read: {steps: [], status: '{{ cursor }}'}", "2:31: read.status: There is no name cursor here."),
]  # fmt: skip


@each_row(("part", "fault"), PARTS)
def test_the_other_parts(part, fault):
    found = faults(BASE + part)
    assert any(one.startswith(fault) for one in found), found


def test_every_fault_is_told_at_once_in_the_order_of_lines_and_once_for_an_alias():
    text = textwrap.dedent(
        """
        base_url: nowhere
        outgoing:
          Assign: [&send {name: send, post: /x, text: "{{ a }} {{ b }}"}]
          Accept: [*send]
          Cancel: [{<<: *send, name: end, text: "{{ c }}"}]
        """
    )
    with pytest.raises(FaultyDocument) as failed:
        connection_of(text)
    places = [(one.line, one.column) for one in failed.value.faults]
    assert places == [(2, 11), (4, 51), (4, 59), (6, 45)]


def test_two_steps_of_a_name_and_too_many():
    step = "- {name: a, get: /x}\n"
    text = BASE + "outgoing:\n  Assign:\n" + f"    {step}" * 11
    assert "5:7: outgoing.Assign[1] a: An earlier step is named a too." in faults(text)
    assert any("14:7: outgoing.Assign: At most 10 steps are possible." in one for one in faults(text))


LARGE = [
    ("\n".join(f"key{number}: 1" for number in range(5_000)), "201:1: key200: There are more than 200 faults."),
    ("a: [" + "1," * 30_000 + "]", "it has more than 20000 values"),
    ("a: " + "x" * 300_000, "The document has more than 256 KiB."),
    ("a: " + "[" * 1000, "it is nested more than 30 levels deep"),
    ("- " * 1000 + "a", "it is nested more than 30 levels deep"),
    (
        STEP + "json: [&a [1,1,1,1,1,1,1,1,1,1], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], &c [*b,*b,*b,*b,*b,*b,*b,*b,*b],"
        " &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]]",
        "The document has more than 20000 values",
    ),
    (STEP + "json: &a {a: *a, b: *a}", "There are more than 200 faults."),
    (STEP + "json: &a [*a]", "This is nested more than 30 levels deep."),
    (BASE + "outgoing: &a {<<: *a}", "nested"),
]


@each_row(("text", "fault"), LARGE)
def test_a_document_that_is_too_large(text, fault):
    assert any(fault in one for one in faults(text)), faults(text)[:3]


# --- Properties ---

LINES = """
base_url: https://desk.example.com
auth: {kind: bearer, token: '{{ secret.A }}'}
auth: {kind: [a], token: {}}
outgoing:
  Assign:
  Update: *a
    - &a {name: a, get: /x}
    - {<<: *a, name: b}
    - name: c
      post: '/{{ external_id }}'
      json: {a: ['{{ body }}', "{% if %}"]}
      when: '{{ secret }}'
      save: {a: !!int x}
poll:
  every: 60
  list: {get: /x, items: '{{ body }}'}
  read: []
inbox: {verify: {kind: hmac, header: 5}}
  operations: [{when: 1}]
read: null
tables: {a: {default: refuse, 1: 2}}
? [a]
: {{ b }}
""".strip().splitlines()
DOCUMENTS = st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=10).map("\n".join) | st.text(max_size=200)


@settings(max_examples=examples(300), deadline=None)
@given(DOCUMENTS)
def test_any_text_is_a_connection_or_has_faults_at_places_that_are_there(text):
    try:
        connection_of(text)
    except FaultyDocument as error:
        lines = text.split("\n")
        assert error.faults
        assert all(one.line >= 1 and one.column >= 1 and one.message for one in error.faults)
        assert max(one.line for one in error.faults) <= max(len(lines), len(text.splitlines()) + 1)
