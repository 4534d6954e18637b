"""Texts that would be markup, in every field that a partner or a colleague may fill: no page takes them for its own."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from django.contrib.auth import get_user_model

from changes.models import Change, SavedFilter
from integrations.outgoing import delivery
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.integrations.partner import Partner
from tests.integrations.partner import answer as http_answer
from tests.pages import web

# Ends an attribute, an element, a comment, a script and a template; then begins an element of the attacker.
EVIL = "\"'>--></script></style></title></textarea>{{7*7}}{% now %}<x-probe onprobe=1>&lt;x-probe&gt;"
LINE = f"{EVIL} ${{7*7}} javascript:alert(1)"
MARKDOWN = (
    f"{LINE}\n\n[x](javascript:probe) ![x](x onprobe=1) <x-probe> `{EVIL}`\n\n```{EVIL}\n{EVIL}\n```\n\n|{EVIL}|\n|-|\n"
)
PAGES_AT_MOST = 400


class Found(HTMLParser):
    """What an attacker's text added to a page, and the links of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.evil: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "x-probe" or any(name.startswith("on") for name in values):
            self.evil.append(self.get_starttag_text())
        for name in ("href", "src", "action", "formaction"):
            if (values.get(name) or "").strip().lower().startswith(("javascript:", "data:text")):
                self.evil.append(self.get_starttag_text())
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


@pytest.fixture
def change(partner_api, acme, alice):
    """A change of which ACME has filled every text, with operations in both directions."""
    group = acme.external_groups.get().group
    partner = Partner()
    acme.endpoint_url, acme.description = partner.url, LINE[:200]
    acme.save()
    client = partner_api(acme)
    texts = ("description", "reason", "justification", "implementation_plan", "backout_plan")
    body = {
        "system_id": "ACME",
        "operation": "Create",
        "external_id": f"A {EVIL}",
        "external_url": "https://a.example/?q='\"><x-probe>".replace(" ", "%20"),
        "external_status": LINE[:200],
        "properties": {"title": LINE[:200], **dict.fromkeys(texts, MARKDOWN), "service": LINE[:100]},
        "comments": [{"body": MARKDOWN, "author": LINE[:200]}],
        "attachments": [
            {
                "file_name": EVIL.replace("/", "") + ".png",
                "content_base64": base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(),
            }
        ],
    }
    answer = client.post("/api/v1/operations/", body, format="json")
    assert answer.status_code == 201, answer.json()
    refused = {"system_id": "ACME", "operation": f"Create{EVIL}", "external_id": EVIL}
    assert client.post("/api/v1/operations/", refused, format="json").status_code == 400
    change = Change.objects.get()
    change.owning_group = SupportGroupFactory(name=LINE[:100])
    change.save()
    change.owning_group = group
    change.save()
    partner.default = http_answer(422, {"detail": LINE})
    delivery.drain()
    partner.close()
    ChangeFactory(owning_group=group, requested_by=alice, title=LINE[:200])
    return change


def test_no_page_takes_a_text_for_markup(change, alice):
    """Follows all links from the desk, the change and the administration, as a superuser with a hostile name."""
    root = get_user_model().objects.create(username="root", first_name=EVIL[:100], is_staff=True, is_superuser=True)
    SavedFilter.objects.create(user=root, name=LINE[:50], query="q=%3Cx-probe%20onprobe=1%3E")
    client = web(root)
    start = ["/", f"/changes/{change.number}/", "/admin/", f"/changes/?q={EVIL}", f"/exchange/?q={EVIL}"]
    seen, waiting, evil, with_text = set(start), list(start), {}, 0
    paths = {urlsplit(each).path for each in seen}
    while waiting and len(seen) < PAGES_AT_MOST:
        address = waiting.pop(0)
        answer = client.get(address)
        if not answer.get("Content-Type", "").startswith("text/html"):
            continue
        page = answer.content.decode()
        with_text += "x-probe" in page
        found = Found(page)
        if found.evil:
            evil[address] = found.evil
        for link in found.links:
            to = urldefrag(urljoin(address, link)).url
            parts = urlsplit(to)
            # Each page once, whatever the order or the filter of its list.
            if not parts.netloc and parts.path not in paths and "logout" not in to:
                seen.add(to)
                paths.add(parts.path)
                waiting.append(to)
    assert Found(f"<p>{EVIL}</p>").evil
    assert evil == {}
    assert with_text > 20, "the pages do not show the texts, so nothing was checked"
