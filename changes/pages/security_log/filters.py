"""The filters of the security log, from the query parameters, and one page of what they match, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.models import SecurityEvent
from changes.pages.fields import FIRST, LAST, Minute, end_of
from changes.queries.keyset import PRIMARY_KEY, Order, Page, Place, page
from changes.security_log import wording
from changes.security_log.kinds import KINDS, Topic

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PAGE_SIZE = 50
NEWEST_FIRST = Order((PRIMARY_KEY,), is_descending=True)
# Before the name of a topic, where a filter names all kinds of it.
ALL_OF = "topic:"


class LogForm(forms.Form):
    """The filters. A value that is not among the choices makes the form invalid."""

    kind = forms.ChoiceField(label=gettext_lazy("What happened"), required=False)
    person = forms.CharField(label=gettext_lazy("Person"), required=False, max_length=150)
    address = forms.CharField(label=gettext_lazy("Address"), required=False, max_length=45)
    # When the clocks go back, an hour occurs twice: the filter includes both.
    since = Minute(label=gettext_lazy("From"), required=False, of_two=FIRST)
    until = Minute(label=gettext_lazy("To"), required=False, of_two=LAST)
    text = forms.CharField(label=gettext_lazy("Object or text"), required=False, max_length=200)

    def __init__(self, parameters: QueryDict) -> None:
        super().__init__(parameters)
        kind: Any = self.fields["kind"]
        kind.choices = [("", _("Anything")), *_choices()]

    @property
    def active(self) -> list[str]:
        """The names of the filters that narrow the log now."""
        return [name for name in self.fields if self.data.get(name) not in (None, "")]


def _choices() -> list[tuple[str, list[tuple[str, StrOrPromise]]]]:
    """The kinds under their topics. The first choice of each is all of them."""
    found = []
    for topic in Topic:
        kinds: list[tuple[str, StrOrPromise]] = [
            (kind.name, kind.label) for kind in KINDS.values() if kind.topic == topic
        ]
        whole = _("%(topic)s: all") % {"topic": topic.label}
        found.append((str(topic.label), [(f"{ALL_OF}{topic.value}", whole), *kinds]))
    return found


class Row:
    """An event, as people read it."""

    def __init__(self, event: SecurityEvent) -> None:
        self.event = event

    @cached_property
    def sentence(self) -> str:
        return wording.sentence(self.event)

    @property
    def label(self) -> StrOrPromise:
        return wording.kind_of(self.event).label

    @cached_property
    def altered(self) -> list[wording.Altered]:
        return wording.altered(self.event)

    @property
    def reason(self) -> str:
        return wording.reason(self.event)


class Log:
    """The part of the log that the filters match. `after` and `before` in the address name the place of a page."""

    def __init__(self, parameters: QueryDict) -> None:
        self.parameters = parameters
        self.form = LogForm(parameters)

    @cached_property
    def events(self) -> QuerySet[SecurityEvent]:
        if not self.form.is_valid():
            return SecurityEvent.objects.none()
        asked = self.form.cleaned_data
        found = SecurityEvent.objects.filter(_of_kind(asked["kind"]))
        if asked["person"]:
            about = Q(object_type="auth.user", object_text__iexact=asked["person"])
            found = found.filter(Q(actor_name__iexact=asked["person"]) | about)
        if asked["address"]:
            found = found.filter(address=asked["address"])
        if asked["since"]:
            found = found.filter(at__gte=asked["since"])
        if asked["until"]:
            found = found.filter(at__lt=end_of(asked["until"]))
        return _containing(found, asked["text"]) if asked["text"] else found

    @cached_property
    def page(self) -> Page[Row]:
        after, before = (NEWEST_FIRST.read(self.parameters.get(name, "")) for name in ("after", "before"))
        found = page(NEWEST_FIRST, self._load, PAGE_SIZE, after=after, before=before)
        return Page([*map(Row, found.rows)], found.previous, found.next, found.is_first)

    def _load(self, order: Order, place: Place | None, limit: int) -> list[SecurityEvent]:
        return list(order.sorted(order.beyond(self.events, place))[:limit])

    def portions(self, size: int) -> Iterator[list[SecurityEvent]]:
        """All events that match, in portions."""
        place: Place | None = None
        while found := self._load(NEWEST_FIRST, place, size):
            yield found
            place = NEWEST_FIRST.place_of(found[-1])


def _of_kind(wanted: str) -> Q:
    if not wanted:
        return Q()
    if not wanted.startswith(ALL_OF):
        return Q(kind=wanted)
    topic = wanted.removeprefix(ALL_OF)
    return Q(kind__in=[kind.name for kind in KINDS.values() if kind.topic == topic])


def _containing(events: QuerySet[SecurityEvent], text: str) -> QuerySet[SecurityEvent]:
    said = Q(object_text__icontains=text) | Q(details_text__icontains=text)
    named = Q(system_id__icontains=text) | Q(token__icontains=text)
    return events.alias(details_text=Cast("details", TextField())).filter(said | named)
