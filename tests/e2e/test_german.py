"""Every page in German: no visible text is English, except the terms of the exchange."""

from __future__ import annotations

import re
from weakref import WeakSet

import pytest
from playwright.sync_api import Page

from .pages_to_look_at import LOOKS

pytestmark = pytest.mark.xdist_group("pages")

# Words that no German text has. The data of everything.py is German. The terms of the exchange are not listed.
ENGLISH = re.compile(
    r"\b(?:the|of|is|are|and|to|for|not|with|by|this|that|has|have|which|from|your|you|its|been|can|must|does|it|be|or"
    r"|Save|Search|Show|Edit|Delete|Title|Type|Comment|Attachment|History|Since|Next|Back|More|Owner|Owning|Group"
    r"|Priority|Sign|Add|View|Choose|Select|Filter by|Yes|Nothing|Nobody|Everything|All|Any|None)\b"
)
# All visible texts and attributes, except texts of people, JSON, and texts that Django has only in English: the search
# icon, and the double lists, whose script is not translated and whose permissions are named in the database.
_TEXTS = """() => {
    const left = 'pre, script, style, textarea, code, .prose, [lang=en], #changelist-search img, .selector';
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [document.title];
    while (walker.nextNode()) {
        if (!walker.currentNode.parentElement.closest(left)) texts.push(walker.currentNode.data);
    }
    for (const element of document.querySelectorAll('body *')) {
        if (element.closest(left)) continue;
        for (const name of ['title', 'aria-label', 'placeholder', 'alt']) texts.push(element.getAttribute(name) || '');
    }
    return [document.documentElement.lang, [...new Set(texts.map(text => text.replace(/\\s+/g, ' ').trim()))]];
}"""


@pytest.mark.parametrize("look", [look for look in LOOKS if look.act is None], ids=lambda look: look.name)
def test_a_german_page_has_no_english_text(served, looking, look):
    page = looking(look.person, locale="de-DE")
    _leave_out_styles(page)
    page.goto(look.address.format(**served.keys))
    language, texts = page.evaluate(_TEXTS)
    assert language == "de"
    assert [text for text in texts if ENGLISH.search(text)] == []


_without_styles: WeakSet[Page] = WeakSet()


def _leave_out_styles(page: Page) -> None:
    """No text depends on them, and a page without them is drawn in half the time."""
    if page not in _without_styles:
        _without_styles.add(page)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setBlockedURLs", {"urls": ["*.css", "*.woff2", "*.svg"]})
