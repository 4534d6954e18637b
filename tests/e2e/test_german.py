"""Every page in German: nothing that a person reads is left in English, but for the terms of the exchange."""

from __future__ import annotations

import re

import pytest

from .pages_to_look_at import LOOKS

pytestmark = pytest.mark.xdist_group("pages")

# Words that no German text has; the data of everything.py is German, and the terms of the exchange are none of these.
ENGLISH = re.compile(
    r"\b(?:the|of|is|are|and|to|for|not|with|by|this|that|has|have|which|from|your|you|its|been|can|must|does|it|be|or"
    r"|Save|Search|Show|Edit|Delete|Title|Type|Comment|Attachment|History|Since|Next|Back|More|Owner|Owning|Group"
    r"|Priority|Sign|Add|View|Choose|Select|Filter by|Yes|Nothing|Nobody|Everything|All|Any|None)\b"
)
# Each text and attribute that is read, but what people wrote, JSON, and what Django itself has in English only: the
# sign of a search, and its double lists, whose script has no German and whose permissions are named in the database.
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
    return [...new Set(texts.map(text => text.replace(/\\s+/g, ' ').trim()).filter(Boolean))];
}"""


@pytest.mark.parametrize("look", [look for look in LOOKS if look.act is None], ids=lambda look: look.name)
def test_a_german_page_has_no_english_text(served, looking, look):
    page = looking(look.person, locale="de-DE")
    page.goto(look.address.format(**served.keys))
    assert page.locator("html").get_attribute("lang") == "de"
    assert [text for text in page.evaluate(_TEXTS) if ENGLISH.search(text)] == []
