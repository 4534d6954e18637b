"""Whatever an adapter sends gets an answer of the face: 2xx, or 4xx with its `meta`. Never a failure of ours."""

import json
from urllib.parse import quote

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from changes import rate_limits
from integrations.models import ExternalReference
from tests.examples import examples

from .conftest import LOGIN

PATHS = [
    LOGIN,
    "/rest/default/ces",
    "/rest/default/ems/Change",
    "/rest/default/ems/Change/{own}",
    "/rest/default/ems/ExternalReference",
    "/rest/default/ems/PersonGroup",
    "/rest/default/ems/Person",
    "/rest/default/ems/Person/{own}",
    "/rest/default/ems/Location",
    "/rest/default/ems/bulk",
    "/rest/default/collaboration/comments/Change/{own}",
    "/rest/default/collaboration/comments/Change/{own}/comments",
    "/rest/default/frs/file-list",
    "/rest/default/frs/file-list/00000000-0000-0000-0000-000000000001",
    "/rest/default/ces/attachment",
    "/rest/default/personalization/person/me",
]
WRITING = [
    LOGIN,
    "/rest/default/ces",
    "/rest/default/ems/bulk",
    "/rest/default/collaboration/comments/Change/{own}",
    "/rest/default/ces/attachment",
]
PARAMETERS = ["layout", "filter", "order", "skip", "size", "meta", "type", "system", "time", "TENANTID", "login", "x"]
WORDS = [
    "Id",
    "Change",
    "ACME",
    "C-1",
    "Plan",
    "FULL_LAYOUT",
    "OwnedByGroup.Name",
    "LastUpdateTime",
    "Update",
    "Create",
    "Reject",
    "PUBLIC",
    "0",
    "-1",
    "1764000000000",
    "9" * 30,
    "Id='1'",
    "Id in ('1','2')",
    "DisplayLabel startswith ('x",
    "(",
    "'",
    "CHG1",
    "NaN",
    "Id asc",
    "a\u0000b",
    "\ud800",
    "ä\u202e",
    "{own}",
]
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=30), st.text("'()=<>!, anIdor1", max_size=30))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
NAMES = {
    "entity": ["entity_type", "properties", "ext_properties", "Comments", "x"],
    "properties": [
        "Id",
        "DisplayLabel",
        "Description",
        "PhaseId",
        "CompletionCode",
        "RiskAssessment",
        "OwnedByGroup",
        "OwnedByGroup.Name",
        "ScheduledStartTime",
        "ActualEndTime",
        "ChangeAttachments",
        "Priority",
        "x",
    ],
    "ext": ["ExternalSystem", "Operation", "ExternalId", "ExternalEntityType", "ExternalStatus"],
    "comment": ["Body", "PrivacyType", "IsSystem", "CreatedTime"],
}


def objects(kind, **sound):
    """An object with some known names, of which some have sound values and others anything."""
    anything = st.dictionaries(st.sampled_from(NAMES[kind]), values, max_size=4)
    return st.builds(
        lambda good, bad, keep: {**good, **bad} if keep else {**bad, **good},
        st.fixed_dictionaries(sound),
        anything,
        st.booleans(),
    )


properties = objects("properties", Id=st.just("{own}"))
comments = st.lists(objects("comment", Body=st.just("Hi")), max_size=2)
operations = st.sampled_from(["Create", "Update", "Assign", "Reject", "Cancel", "Close"])
ext = objects("ext", ExternalSystem=st.just("ACME"), Operation=operations)
entities = objects(
    "entity", entity_type=st.just("Change"), properties=properties, ext_properties=ext, Comments=comments
)
listed = st.builds(
    lambda listed, how: {"operation": how, "entities": listed},
    st.lists(st.one_of(entities, entities, values), max_size=3),
    st.sampled_from(["CREATE", "UPDATE", 1]),
)
bodies = st.one_of(
    listed,
    listed,
    objects("comment"),
    st.fixed_dictionaries({"login": values, "password": values}),
    values,
)
written = st.one_of(bodies.map(lambda body: json.dumps(body).encode()), st.binary(max_size=60), st.just(b""))
headers = st.dictionaries(
    st.sampled_from(["HTTP_FS_FILENAME", "HTTP_AUTHORIZATION", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_CONTENT_ENCODING"]),
    st.one_of(
        st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40),
        st.sampled_from(
            ["Basic YTpi", "Basic " + "A" * 50, "Bearer x", "application/xml", "LWSSO_COOKIE_KEY=\xff; a", "gzip"]
        ),
    ),
    max_size=2,
)
kinds = st.one_of(
    st.just("application/json"),
    st.just("application/json"),
    st.sampled_from(
        [
            "",
            "text/plain; charset=utf-16",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ]
    ),
    st.text(max_size=10).map(lambda text: text.encode("latin-1", "ignore").decode("latin-1")),
)
queries = st.dictionaries(st.sampled_from(PARAMETERS), texts, max_size=4)
# Two of three calls are answered by the code for that call, and the others refused as unknown.
any_calls = st.tuples(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"]),
    st.builds(
        lambda path, tail: path + tail,
        st.sampled_from(PATHS),
        st.sampled_from(["", "/", "//", "/x", "%00", "%FF", "/9999999999999999999999"]),
    ),
)
known_calls = st.one_of(
    st.tuples(st.just("POST"), st.sampled_from(WRITING)),
    st.tuples(st.just("GET"), st.sampled_from([path for path in PATHS if path not in WRITING])),
)
calls = st.one_of(known_calls, known_calls, any_calls)


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_no_call_fails_whatever_is_sent(adapter, world, is_signed_in):
    ours = str(world.pk)
    token = adapter.client.cookies["LWSSO_COOKIE_KEY"].value

    @settings(
        max_examples=examples(700 if is_signed_in else 150),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(calls, queries, written, kinds, headers)
    def answers(call, query, body, kind, head):
        method, path = call
        rate_limits.forget()
        client = Client(raise_request_exception=False)
        if is_signed_in:
            client.cookies["LWSSO_COOKIE_KEY"] = token
            head.pop("HTTP_COOKIE", None)
        asked = "&".join(
            f"{name}={quote(value.replace('{own}', ours), errors='replace')}" for name, value in query.items()
        )
        address = f"{path.replace('{own}', ours)}?{asked}"
        with transaction.atomic():
            answer = client.generic(method, address, body.replace(b"{own}", ours.encode()), kind, **head)
            transaction.set_rollback(True)
        assert answer.status_code < 500, (method, address, body, kind, head, answer.content)
        if answer.status_code >= 400 and method != "HEAD":
            details = answer.json()["meta"]["errorDetails"]
            assert details["httpStatus"] == answer.status_code
            assert details["message"]

    answers()


@pytest.fixture
def world(acme, given):
    ExternalReference(change=given, system=acme, external_id="C-1").save()
    return given
