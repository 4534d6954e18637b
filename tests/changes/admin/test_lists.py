"""The lists of the administration accept only their own filters."""

import html
import re

from django.contrib import admin

from integrations.models import ExternalReference, IncomingOperation
from tests.factories import ChangeFactory
from tests.pages import text, web
from tests.rows import each_row


@each_row(
    "query",
    [
        "changes/change/?title__regex=(a%2B)%2B$",
        "changes/change/?title__regex=(",
        "changes/change/?phase__regex=(",
        "changes/change/?updated_at__year=" + "9" * 30,
        "changes/change/?version__gt=1",
        "changes/change/?nonsense=1",
        "changes/supportgroup/?members__username__regex=(",
        "integrations/externalsystem/?signing_secret__regex=^gAAA",
        "integrations/externalsystem/?signing_secret__startswith=g",
        "integrations/incomingoperation/?payload__contains=x",
        "integrations/incomingoperation/?received_at__regex=(",
        "integrations/exchange/?system__regex=(",
        "integrations/externalreference/?external_id__regex=(",
        "auth/group/?name__regex=(",
        "auth/user/?password__regex=(",
        "auth/user/?groups__name__regex=(",
        "knox/authtoken/?digest__startswith=a",
        "axes/accessattempt/?username__regex=(",
    ],
)
def test_a_filter_that_the_list_does_not_offer_is_a_bad_request(root, query):
    answer = web(root).get(f"/admin/{query}")
    assert answer.status_code == 400
    assert "This request cannot be understood" in text(answer)


OPERATIONS = ["outgoingoperation/?created_at", "incomingoperation/?received_at"]


@each_row("days", OPERATIONS)
@each_row(
    "asked",
    [
        "__year=9999",
        "__year=1",
        "__year=0",
        "__year=" + "9" * 30,
        "__year=9999&{0}__month=12",
        "__year=9999&{0}__month=12&{0}__day=31",
        "__year=2026&{0}__month=13",
        "__year=2026&{0}__month=nonsense",
        "__month=5",
        "__year=2026&{0}__day=5",
        "__gte=9999-12-31 23:59:59-12:00",
        "__lt=0001-01-01 00:00:00%2B14:00",
    ],
)
def test_a_day_that_no_calendar_has_is_a_bad_request(root, days, asked):
    name = days.partition("?")[2]
    assert web(root).get(f"/admin/integrations/{days}{asked.format(name)}").status_code == 400


@each_row("days", OPERATIONS)
@each_row("asked", ["__year=2026", "__year=9998&{0}__month=12&{0}__day=31", "__year=2&{0}__month=1"])
def test_a_day_that_the_calendar_has_is_found(root, days, asked):
    name = days.partition("?")[2]
    assert "0 results" in text(web(root).get(f"/admin/integrations/{days}{asked.format(name)}&q=nowhere"))


@each_row("kind", ["changes/change", "changes/supportgroup", "auth/user", "auth/group", "knox/authtoken"])
@each_row("more", ["_popup=1&_to_field=id", "q=x&o=1.-2&p=1", "all=", "e=1", "_facets=True"])
def test_what_each_list_takes_besides_its_filters_is_no_bad_request(root, kind, more):
    if kind == "knox/authtoken":
        more = more.replace("_to_field=id", "_to_field=digest")
    shown = web(root).get(f"/admin/{kind}/?{more}").context["cl"]
    assert shown.model._meta.label_lower == kind.replace("/", ".")


def test_every_link_of_every_list_leads_somewhere(root, acme):
    """The filters, the days, the columns and the pages."""
    client = web(root)
    change = ChangeFactory(requested_by=root, owning_group=acme.external_groups.get().group)
    ExternalReference(change=change, system=acme, external_id="C-1").save()
    fields = {"operation": "Create", "payload": {}, "status": "Applied", "http_status": 201, "body_sha256": "0" * 64}
    IncomingOperation(system=acme, user=acme.authorized_user, **fields).save()
    followed = 0
    for model, model_admin in admin.site._registry.items():
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        links = set(re.findall(r'href="(\?[^"]*)"', client.get(address).content.decode()))
        for link in links:
            assert client.get(f"{address}{html.unescape(link)}").status_code == 200, f"{address}{link}"
        assert links or not model_admin.list_filter
        followed += len(links)
    assert followed > 100


@each_row(
    "query",
    [
        "integrations/outgoingoperation/?system__id__exact={}",
        "integrations/outgoingoperation/?status__in={}",
        "integrations/outgoingoperation/?created_at__gte={}",
        "changes/supportgroup/?external_group__system__id__exact={}",
        "changes/change/?owning_group__isnull={}",
        "changes/change/?priority__exact={}",
        "auth/user/?groups__id__exact={}",
        "auth/user/?is_staff__exact={}",
        "knox/authtoken/?expired={}",
        "changes/change/?p={}",
        "changes/change/?o={}",
    ],
)
@each_row("value", ["nonsense", "9" * 30, "-1", "", "%ED%A0%80"])
def test_a_filter_with_a_value_that_nothing_has_is_no_error_of_the_server(root, acme, query, value):
    answer = web(root).get(f"/admin/{query.format(value)}", follow=True)
    assert answer.status_code in {200, 400}
