"""People read the labels of values, in their language; programs read the values."""

import re
from html.parser import HTMLParser

from django.utils import translation

from changes.choices import ChangeType, CompletionCode, Impact, Phase, Urgency
from changes.models import Change
from integrations.choices import Breaker
from integrations.models import DeliveryControl
from tests.e2e import everything
from tests.e2e.pages_to_look_at import LOOKS
from tests.factories import ChangeFactory, change_in
from tests.pages import posted, text, web

from .rows import each_row

# Values that must not be in texts for people. A value of one word equals its English label.
IDENTIFIERS = re.compile(
    "ApprovePlan|SiteOrDepartment|MultipleUsers|SingleUser|TotalLossOfService|SevereDisruption|SlightDisruption"
    "|NoDisruption|SuccessfulWithProblems|BackedOut|HalfOpen"
)
MORE_ADDRESSES = (
    "/changes/?phase=ApprovePlan&code=BackedOut",
    "/calendar/?phase=ApprovePlan",
    "/changes/{values}/",
    "/changes/{values}/edit/",
    "/admin/changes/change/{values_pk}/change/",
    "/admin/changes/change/{values_pk}/history/",
    "/admin/changes/change/?phase__exact=ApprovePlan",
    "/admin/integrations/externalsystem/{beta_system}/change/",
)


class _Read(HTMLParser):
    """Collects the texts of a page, and attributes that are shown or read out. Skips JSON, which is for programs."""

    READ = ("title", "aria-label", "placeholder", "alt", "data-label")
    LEFT = ("script", "style", "pre", "textarea")

    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = self.inside or (tag if tag in self.LEFT else "")
        self.found += [value for name, value in attrs if name in self.READ and value]

    def handle_endtag(self, tag):
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data):
        self.found += [] if self.inside else [data]


def identifiers(response):
    return [words.strip() for words in _Read(response.content.decode()).found if IDENTIFIERS.search(words)]


def change_with_every_value(alice):
    """A change whose history has each impact, urgency and code, and moves into and out of the approval."""
    change = change_in(Phase.PLAN, requested_by=alice)
    for impact, urgency, code in zip([*Impact] * 2, [*Urgency] * 2, [*CompletionCode, *[None] * 2], strict=True):
        change.business_impact, change.urgency, change.completion_code = impact, urgency, code
        change.save()
    for phase in (Phase.APPROVE_PLAN, Phase.PLAN, Phase.APPROVE_PLAN):
        change.move_to(phase)
        change.save()
    change.completion_code = CompletionCode.BACKED_OUT
    change.save()
    return change


def test_no_page_of_the_staff_shows_an_identifier(db, subtests):
    people, keys = everything.fill()
    change = change_with_every_value(people["alice"])
    keys |= {"values": change.number, "values_pk": change.pk}
    DeliveryControl.objects.filter(system_id=keys["beta_system"]).update(breaker=Breaker.HALF_OPEN)
    looks = {(look.address, look.person): look.status for look in LOOKS}
    looks |= {(address, "root"): 200 for address in MORE_ADDRESSES}
    clients = {name: web(user) for name, user in people.items()} | {None: web()}
    for language in ("en", "de"):
        with subtests.test(language=language):
            found = {}
            for (address, person), status in looks.items():
                read = {"follow": True, "headers": {"Accept-Language": language}}
                response = clients[person].get(address.format(**keys), **read)
                assert response.status_code == status, address
                found[address] = identifiers(response)
            assert {address: words for address, words in found.items() if words} == {}
            shown = text(clients["root"].get(f"/changes/{change.number}/", **read))
            with translation.override(language):
                for value in (Phase.APPROVE_PLAN, Impact.SINGLE_USER, Urgency.NO_DISRUPTION, CompletionCode.BACKED_OUT):
                    assert str(value.label) in shown


# A request for a change in this phase, the message of the page in each language, and that of the API.
REFUSED = [
    (
        "a transition that is none",
        Phase.LOG,
        {"phase": "Deploy"},
        "Emergency changes have no transition from Log to Deploy. Possible: Approve plan, Abandon.",
        "Für Changes vom Typ Notfall gibt es keinen Übergang von Erfassen zu Umsetzen."
        " Möglich: Plan genehmigen, Verwerfen.",
        "Emergency changes have no transition from Log to Deploy. Possible: ApprovePlan, Abandon.",
    ),
    (
        "a transition whose condition does not hold",
        Phase.APPROVE_PLAN,
        {"phase": "Abandon"},
        "Not ready for Abandon: Completion code must be Withdrawn or Rejected.",
        "Nicht bereit für Verwerfen: Der Abschlusscode muss Zurückgezogen oder Zurückgewiesen sein.",
        "Not ready for Abandon: Completion code must be Withdrawn or Rejected.",
    ),
    (
        "a decision outside of the phase",
        Phase.LOG,
        {"decision": "Approved"},
        "is in Log: a plan is decided in Approve plan.",
        "ist in der Phase Erfassen: Über einen Plan wird in der Phase Plan genehmigen entschieden.",
        "is in Log: a plan is decided in ApprovePlan.",
    ),
]


@each_row(("what", "phase", "asked", "english", "german", "for_programs"), REFUSED)
def test_a_refusal_has_labels_on_pages_and_values_in_the_api(
    carol, api, what, phase, asked, english, german, for_programs
):
    change = change_in(phase, ChangeType.EMERGENCY)
    way = ("transition", "transitions") if "phase" in asked else ("approvals", "approvals")
    for language, said in (("en", english), ("de", german)):
        client, header = web(carol), {"headers": {"Accept-Language": language}}
        data = {**asked, "version": change.version}
        assert said in text(client.post(f"/changes/{change.number}/{way[0]}/", data, follow=True, **header))
        answer = api(carol).post(f"/api/v1/changes/{change.number}/{way[1]}/", asked, format="json", **header)
        assert for_programs in answer.json()["detail"]
    assert Change.objects.get().phase == phase


def test_the_api_and_files_have_values_in_every_language(carol, api):
    change = change_in(Phase.APPROVE_PLAN, business_impact=Impact.SITE_OR_DEPARTMENT, urgency=Urgency.NO_DISRUPTION)
    header = {"headers": {"Accept-Language": "de"}}
    read = api(carol).get(f"/api/v1/changes/{change.number}/", **header).json()
    values = ("ApprovePlan", "Planning", "SiteOrDepartment", "NoDisruption", "Medium")
    assert tuple(read[name] for name in ("phase", "metaphase", "business_impact", "urgency", "priority")) == values
    assert "Approve plan" not in api(carol).get("/api/v1/schema/", **header).content.decode()
    file = b"".join(web(carol).get("/changes/export.csv", **header).streaming_content).decode()
    assert all(f'"{value}"' in file for value in values)


def test_forms_offer_labels_and_take_values(alice):
    change = ChangeFactory()
    header = {"headers": {"Accept-Language": "de"}}
    form = web(alice).get(f"/changes/{change.number}/edit/", **header).content.decode()
    assert re.search(r'<option value="SiteOrDepartment"[^>]*>Standort oder Abteilung</option>', form)
    mine, theirs = (posted(change, business_impact=impact) for impact in ("SiteOrDepartment", "MultipleUsers"))
    assert web(alice).post(f"/changes/{change.number}/edit/", theirs, **header).status_code == 302
    assert Change.objects.get().business_impact == "MultipleUsers"
    conflict = web(alice).post(f"/changes/{change.number}/edit/", mine, **header)
    assert conflict.status_code == 409
    assert "Einzelner Benutzer" in text(conflict) and "Mehrere Benutzer" in text(conflict)
    assert identifiers(conflict) == []
