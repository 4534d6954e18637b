"""Generated filters find what they say, and generated texts are read or refused, never a failure."""

from __future__ import annotations

import operator
from datetime import UTC, datetime, timedelta

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from changes.models import Change
from integrations.models import ExternalSystem
from integrations.smax import filters
from integrations.smax.properties import milliseconds
from integrations.smax.records import columns_of
from integrations.smax.registration import Registration
from tests.examples import examples
from tests.factories import ChangeFactory

START = datetime(2026, 1, 10, 8, tzinfo=UTC)
EQUAL = {"=": operator.eq, "!=": operator.ne}
COMPARED = {**EQUAL, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
# What the records have: titles, phases, and planned starts in hours after START.
TITLES = ["Alpha", "Beta's", "Gamma", "alps"]
MOMENTS = [milliseconds(START + timedelta(hours=hour)) for hour in range(4)]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def _titles(one):
    begin = one[:2].lower()
    for sign, holds in EQUAL.items():
        yield f"DisplayLabel {sign} {quoted(one)}", lambda row, holds=holds: holds(row[0], one)
    yield f"DisplayLabel startswith ({quoted(one[:2])})", lambda row: row[0].lower().startswith(begin)
    yield f"DisplayLabel in ({quoted(one)},'x')", lambda row: row[0] == one


def _moments(one):
    for sign, holds in COMPARED.items():
        yield f"ScheduledStartTime{sign}{one}", lambda row, holds=holds: holds(row[1], one)
    yield f"ScheduledStartTime btw ({one},{MOMENTS[2]})", lambda row: one <= row[1] <= MOMENTS[2]
    yield f"ScheduledStartTime in ('{one}')", lambda row: row[1] == one


CONSTANTS = [
    ("OwnedByPerson='1'", lambda row: False),
    ("OwnedByPerson!='1'", lambda row: True),
    ("PhaseId='Log'", lambda row: True),
]
of_titles = [term for one in TITLES for term in _titles(one)]
terms = st.sampled_from([*of_titles, *(term for one in MOMENTS for term in _moments(one)), *CONSTANTS])


def _joined(inner):
    """Two conditions in parentheses, joined by a word in any capitals."""
    return st.one_of(
        st.builds(lambda a, b: (f"({a[0]}) AND ({b[0]})", lambda row: a[1](row) and b[1](row)), inner, inner),
        st.builds(lambda a, b: (f"({a[0]}) or ({b[0]})", lambda row: a[1](row) or b[1](row)), inner, inner),
        # Without parentheses `and` binds closer.
        st.builds(
            lambda a, b, c: (f"({a[0]}) or ({b[0]}) and ({c[0]})", lambda row: a[1](row) or (b[1](row) and c[1](row))),
            inner,
            inner,
            inner,
        ),
    )


conditions = st.recursive(terms, _joined, max_leaves=6)


def test_a_filter_finds_what_it_says(db, alice):
    rows = {}
    for title, moment in zip(TITLES, MOMENTS, strict=True):
        start = START + timedelta(hours=MOMENTS.index(moment), microseconds=7)
        change = ChangeFactory(
            title=title, requested_by=alice, planned_start=start, planned_end=start + timedelta(hours=9)
        )
        rows[change.pk] = (title, moment)
    columns = columns_of(Registration.of(ExternalSystem()))

    @settings(max_examples=examples(150), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(conditions)
    def finds(condition):
        text, holds = condition
        found = Change.objects.filter(filters.condition(text, columns)).values_list("pk", flat=True)
        assert {*found} == {key for key, row in rows.items() if holds(row)}, text

    finds()


WORDS = [
    "Id",
    "DisplayLabel",
    "PhaseId",
    "x",
    "=",
    "!=",
    "<",
    "in",
    "btw",
    "startswith",
    "and",
    "or",
    "(",
    ")",
    ",",
    "'a'",
    "'",
    "7",
    "-1.5",
    "''",
]
pieces = st.lists(st.sampled_from([*WORDS, " ", "\u00e4"]), max_size=14)
texts = st.one_of(st.text(max_size=40), pieces.map(" ".join), pieces.map("".join))


def test_any_text_is_read_or_refused(db):
    columns = columns_of(Registration.of(ExternalSystem()))

    @settings(max_examples=examples(500), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(texts)
    def is_read(text):
        with transaction.atomic():
            try:
                condition = filters.condition(text, columns)
            except ValidationError as error:
                assert [*error.detail] == ["filter"]
            else:
                Change.objects.filter(condition).count()

    is_read()
