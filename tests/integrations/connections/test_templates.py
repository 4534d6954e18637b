"""Values, filters and names of templates, and what ends in a refusal."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connections.document import FaultyDocument, connection_of
from integrations.connections.evaluation.conversation import Conversation, names_of
from integrations.connections.templating.faults import EvaluationFailed
from tests.examples import examples
from tests.rows import each_row

from .evaluation import ATTACHMENT, COMMENT, MESSAGE, NOW, REFERENCE, SECRETS, connection, document

pytestmark = pytest.mark.any_database


def step(value: object) -> str:
    """A step whose body is this value: JSON is YAML."""
    return f"- {{name: send, post: /x, json: {json.dumps(value)}}}"


def sent(value: object, **message: object) -> object:
    names = names_of({**MESSAGE, **message}, NOW)
    call = Conversation(connection(step(value)), "Assign", names, SECRETS).next_call()
    assert call is not None
    return json.loads(call.body)


VALUES = [
    # One expression keeps its type.
    ("{{ change.version }}", 3),
    ("  {{ change.version }}\n", 3),
    ("{{ change.version > 2 }}", True),
    ("{{ change.risk }}", None),
    ("{{ changed_fields }}", {"owning_group": {"old": "Network", "new": "Desk"}}),
    ("{{ changed_fields.owning_group.new }}", "Desk"),
    ("{{ change['title'] }}", "Replace core switch"),
    ("{{ change.title in ['Replace core switch', 'x'] }}", True),
    ("{{ range(3)|list }}", [0, 1, 2]),
    ("{{ change.version|int * 1000 }}", 3000),
    ("{{ 9007199254740993123456789 is defined }}", True),
    # A mapping has its keys and nothing else, whatever they are named.
    ("{{ change is mapping }}", True),
    ("{{ change.items is defined or change.keys is defined or change.get is defined }}", False),
    ("{{ change.external_references.append is defined }}", False),
    ("{{ changed_fields.owning_group|items|list }}", [["old", "Network"], ["new", "Desk"]]),
    ("{{ 'number' in change and 'items' not in change }}", True),
    # Anything else is a text.
    ("{{ change.version }}.", "3."),
    ("{{ change.version }}{{ change.version }}", "33"),
    ("{{ change.version > 2 }}!", "true!"),
    ("[{{ change.risk }}]", "[]"),
    ("{% if change.risk %}risky{% else %}fine{% endif %}", "fine"),
    ("{% for name in ['a', 'b'] %}{{ loop.index }}{{ name }}{% endfor %}", "1a2b"),
    ("{% raw %}{{ change.nothing }}{% endraw %}", "{{ change.nothing }}"),
    ("{# a remark #}x", "x"),
    ("no template", "no template"),
    ("a }} b", "a }} b"),
    ("last line\n{{ change.version }}\n", "last line\n3\n"),
    # Nothing is escaped, and nothing is evaluated twice.
    ("{{ change.description }}", "<b>Füße</b> & 'Hände'"),
    ("{{ change.description }}.", "<b>Füße</b> & 'Hände'."),
    # `omit`
    ({"a": "{{ omit }}", "b": 1}, {"b": 1}),
    ({"a": {"b": "{{ change.risk or omit }}"}, "c": [["{{ omit }}"], 1], "d": {}}, {"c": [1], "d": {}}),
    (["{{ omit }}", 2], [2]),
    ({"a": "{{ change.planned_end|date or omit }}"}, {}),
    # The names
    ("{{ operation }} {{ system }} {{ now }}", "Assign DESK 2026-11-24T12:00:00Z"),
    ("{{ external_id }}", None),
    ("{{ origin }}", None),
    ("{{ not comment }}", True),
]


@each_row(("value", "result"), VALUES)
def test_values_and_their_types(value, result):
    assert sent(value) == result


FILTERS = [
    ("change.priority|table('priority')", 70),
    ("'Low'|table('priority')", 50),
    ("none|table('priority')", 50),
    ("operation|table('status')", "open"),
    ("change.planned_start|date", "2026-11-24T09:30:00Z"),
    ("change.planned_start|date(zone='Europe/Berlin')", "2026-11-24T10:30:00+01:00"),
    ("change.planned_start|date('%Y-%m-%d %H:%M', 'Asia/Kolkata')", "2026-11-24 15:00"),
    ("'2026-11-24T23:30:00-05:00'|date('%d.%m.%Y')", "25.11.2026"),
    ("'2026-11-24 09:30:00'|date", "2026-11-24T09:30:00Z"),
    ("'2026-11-24'|date", "2026-11-24T00:00:00Z"),
    ("'Tue, 24 Nov 2026 09:30:00 GMT'|date", "2026-11-24T09:30:00Z"),
    ("1795512600.5|date", "2026-11-24T09:30:00Z"),
    ("'Tue, 24 Nov 2026 09:30:00 GMT'|epoch", 1795512600),
    ("'2026-11-24T09:30:00.500Z'|epoch", 1795512600.5),
    ("change.planned_start|epoch|int * 1000", 1795512600000),
    ("change.planned_end|epoch", None),
    ("change.planned_end|date('%Y')", None),
    ("''|date", None),
    (r"""('a\\b"c' ~ "'")|quoted""", r"""a\\b\"c\'"""),
    ("""('say "hi" ' ~ "it's")|quoted('double')""", """say ""hi"" it''s"""),
    ("change.description|html", "&lt;b&gt;Füße&lt;/b&gt; &amp; &#x27;Hände&#x27;"),
    ("change.description|plain", "Füße & 'Hände'"),
    ("'<p>one</p><p>two</p>'|plain", "one\n\ntwo"),
    ("'Füße'|truncate_bytes(2)", "F"),
    ("'Füße'|truncate_bytes(3)", "Fü"),
    ("'Füße'|truncate_bytes(30)", "Füße"),
    ("none|truncate_bytes(3)", ""),
    ("change.version|html", "3"),
    ("['b', 'a']|sort|join(', ')", "a, b"),
    ("change.title|upper|replace('CORE', 'x')", "REPLACE x SWITCH"),
    ("'<&>'|tojson|length > 0", True),
]


@each_row(("expression", "result"), FILTERS)
def test_filters(expression, result):
    assert sent("{{ " + expression + " }}") == result


REFUSALS = [
    ("{{ change.nothing }}", "`change.nothing` is undefined"),
    ("{{ change.nothing.more }}", "`change.nothing` is undefined"),
    ("{{ comment.body }}", "`comment.body` is undefined"),
    ("{{ change.items }}", "`change.items` is undefined"),
    ("{{ change.keys }}", "`change.keys` is undefined"),
    ("x {{ change.external_references }}", "a list or a mapping is no text"),
    ("x {{ omit }}", "omit leaves out a whole value"),
    ("{{ 'Accept'|table('status') }}", "the table status has no value for 'Accept'"),
    ("{{ 'Accept'|table('strict') }}", "the table strict has no value for 'Accept'"),
    ("{{ none|table('strict') }}", "the table strict has no value for none"),
    ("{{ 'default'|table('strict') }}", "has no value for 'default'"),
    ("{{ change.external_references|table('strict') }}", "a list or a mapping is no text"),
    ("{{ 'yesterday'|date }}", "|date takes a time as in 2026-11-24T09:30:00Z"),
    ("{{ true|date }}", "|date takes a time as in 2026-11-24T09:30:00Z, or the seconds since 1970"),
    ("{{ 'x'|epoch }}", "|epoch takes a time as in 2026-11-24T09:30:00Z, or the seconds since 1970"),
    ("{{ 1000000000000000|date }}", "|date takes a time"),
    ("{{ '0001-01-01'|date(zone='America/New_York') }}", "|date takes a time"),
    ("{{ change.planned_start|date('%Q') }}", "the format of |date takes % with one of"),
    ("{{ change.planned_start|date('%999999999Y') }}", "the format of |date takes % with one of"),
    ("{{ change.planned_start|date(zone='Mars/Base') }}", "|date does not know this zone"),
    ("{{ change.planned_start|date(zone='../etc/passwd') }}", "|date does not know this zone"),
    ("{{ change.title|quoted('triple') }}", "|quoted takes nothing or 'double'"),
    ("{{ change.title|truncate_bytes('x') }}", "|truncate_bytes takes the number of bytes"),
    ("{{ change.title|date(1, 2, 3, 4) }}", "cannot be evaluated"),
    ("{{ change.title|int }}", "invalid float literal"),
    ("{{ change.version / 0 }}", "unable to calculate"),
    ("{{ ''|first|upper }}", "undefined"),
]


@each_row(("value", "message"), REFUSALS)
def test_what_fails_refuses_and_names_step_key_and_place(value, message):
    with pytest.raises(EvaluationFailed) as failed:
        sent({"Subject": [value]})
    assert failed.value.path == "outgoing.Assign[0] send: json.Subject[0]"
    assert message in failed.value.message


def test_the_names_of_a_message_with_everything():
    template = {"id": "{{ external_id }}", "by": "{{ comment.author }}", "file": "{{ attachment.file_name }}"}
    everything = {"external_reference": REFERENCE, "comment": COMMENT, "attachment": ATTACHMENT}
    assert sent(template, **everything) == {"id": "12", "by": "J. Doe", "file": "Größe.pdf"}


# --- Bombs ---

BOMBS = [
    "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{{ change.title }}{{ change.description }}{{ big }}{% endfor %}",
    "{% for a in range(90000) %}{{ change.description|html }}{% endfor %}",
    "{% for a in range(90000) %}{{ change.description|plain }}{% endfor %}",
    "{% for a in range(90000) %}{% if a in change.description %}{% endif %}{% endfor %}",
    "{{ change.description|replace('x', change.description) }}",
    "{{ change.description|replace('', change.description) }}",
    "{{ range(100000)|join(change.description) }}",
    "{{ range(10000000000) }}",
    "{{ change.description|indent(1000000000) }}",
    "{{ '\n'|indent(1000000000) }}{{ ('a\n' ~ change.description)|indent(100000000) }}",
    "{{ change.description|split('x')|map('upper')|join(change.description) }}",
    "{{ change.description|list|sort|list|length }}",
    "{{ range(100000)|map('string')|join('" + "x" * 5000 + "') }}",
    "{{ 10 ** 10 ** 10 }}",
    "{% for a in range(100000) %}{% if change.description == change.description %}{% endif %}{% endfor %}",
    "{% for a in range(100000) %}{% if change.description|lines|map('upper')|sort|list %}{% endif %}{% endfor %}",
    "{{ range(100000)|sort(reverse=true)|list|tojson }}",
    "{{ change.description|urlencode ~ change.description|tojson ~ change.description|upper }}",
]


@each_row("bomb", BOMBS)
def test_a_bomb_ends_in_a_refusal(bomb):
    big = {**MESSAGE["change"], "description": "x" * 900_000}
    template = bomb.replace("{{ big }}", "{{ change.description }}")
    with pytest.raises(EvaluationFailed):
        sent(template, change=big)


# --- Properties ---

TEXTS = st.text(max_size=60) | st.sampled_from(
    [
        "{{ secret.KEY }}",
        "{% for a in b %}",
        "{{ 7919*7907 }}",
        "{#",
        "omit",
        "'\"\\",
        "${HOME}",
        "\ud800",
        "<b>&amp;</b>",
        "•••",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def clean(value: object) -> object:
    """The value as UTF-8 can write it."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


TYPED = connection(step({"value": "{{ change.title }}", "text": "<{{ change.title }}>", "keys": "{{ change }}"}))


@settings(max_examples=examples(150), deadline=None)
@given(TEXTS)
def test_what_a_person_typed_arrives_as_data(typed):
    names = names_of({**MESSAGE, "change": {"title": typed}}, NOW)
    call = Conversation(TYPED, "Assign", names, SECRETS).next_call()
    kept = clean(typed)
    assert json.loads(call.body) == {"value": kept, "text": f"<{kept}>", "keys": {"title": kept}}


@settings(max_examples=examples(150), deadline=None)
@given(JSON)
def test_any_json_passes_a_template_unchanged(value):
    names = names_of({**MESSAGE, "change": {"title": ""}, "changed_fields": {"a": value}}, NOW)
    made = connection_of(document(step("{{ changed_fields.a }}")))
    call = Conversation(made, "Assign", names, SECRETS).next_call()
    assert json.loads(call.body) == clean(value)


EVERY_FILTER = connection(
    step(
        [
            "{{ change.title|html }}",
            "{{ change.title|quoted }}",
            "{{ change.title|quoted('double') }}",
            "{{ change.title|truncate_bytes(9) }}",
            "{{ change.title|upper|lower|trim|title|capitalize }}",
            "{{ change.title|replace('a', 'b')|list|reverse|list|join('') }}",
            "{{ change.title|tojson }}",
            "{{ change.title|urlencode }}",
        ]
    )
)


@settings(max_examples=examples(150), deadline=None)
@given(TEXTS)
def test_no_filter_evaluates_what_a_person_typed(typed):
    call = Conversation(
        EVERY_FILTER, "Assign", names_of({**MESSAGE, "change": {"title": typed}}, NOW), SECRETS
    ).next_call()
    results = json.loads(call.body)
    assert not any("key-of-the-desk" in text or "62615533" in text for text in results)


WORDS = """
    change comment body operation omit change.title change.version changed_fields . , | : ~ + - ( ) [ ] 'a' 1 0 2.5
    none true and or not in is defined if else upper join first last sort date table('priority') html int float length
    tojson map('upper') default('x') == < range(3) selectattr('a') dictsort items replace('a','b')
"""
PIECES = st.sampled_from(WORDS.split())


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(PIECES, max_size=7), st.dictionaries(st.sampled_from(["title", "version", "items"]), JSON))
def test_a_template_raises_nothing_but_what_it_says(pieces, change):
    try:
        made = connection(step("{{ " + " ".join(pieces) + " }}"))
    except FaultyDocument:
        return
    names = names_of({**MESSAGE, "change": change}, NOW)
    try:
        json.loads(Conversation(made, "Assign", names, SECRETS).next_call().body)
    except EvaluationFailed as failed:
        assert failed.path


def test_a_number_with_too_many_digits_becomes_a_text_and_loses_none():
    digits = "9" * 60
    assert sent("{{ changed_fields.a }}", changed_fields={"a": int(digits)}) == digits


def test_threads_share_a_connection():
    def numbers(thread: int) -> bool:
        for number in range(200):
            names = names_of({**MESSAGE, "change": {"title": f"{thread}/{number}"}}, NOW)
            body = json.loads(Conversation(TYPED, "Assign", names, SECRETS).next_call().body)
            if body["value"] != f"{thread}/{number}" or body["text"] != f"<{thread}/{number}>":
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(numbers, range(4))] == [True] * 4
