"""What holds for every page, as it is served: no barrier, nothing forbidden, fits the screen, the focus can be seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Response

from .conftest import ServedPages
from .pages_to_look_at import LOOKS, Look

pytestmark = pytest.mark.any_database

WIDTHS = (1280, 375)
# WCAG 2.2 A and AA, and what is good practice besides. The size of targets is left out by axe unless it is asked for.
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations"],
}
# What may differ where only the theme does.
OF_THEMES = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}
CHECKS = ((1280, "light", AXE), (1280, "dark", OF_THEMES), (375, "dark", AXE), (375, "light", OF_THEMES))
TABS = 250
# What a template that went wrong leaves behind.
LEFTOVERS = re.compile(
    r"\bNone\b(?! available)"  # Django's own, of recent actions
    r"|\bundefined\b|\bNaN\b|\{\{|\}\}|\{%|%\}|%\(\w+\)|&(?:amp|lt|gt|quot|#\d+);|<[A-Z]\w+ object"
)

_TEXTS = """() => {
    const attributes = ['title', 'aria-label', 'placeholder', 'alt', 'value'];
    const told = [...document.querySelectorAll('body *')].flatMap(
        element => attributes.map(name => element.getAttribute(name) || ''));
    // What people and partners wrote, and JSON, is theirs.
    const copy = document.body.cloneNode(true);
    copy.querySelectorAll('pre, script, textarea, .prose').forEach(element => element.remove());
    // The word, where a table says so, and not Python's.
    copy.querySelectorAll('td .muted').forEach(element => element.innerText === 'None' && element.remove());
    return [document.title, copy.innerText || copy.textContent, ...told.filter(Boolean)].join('\\n');
}"""

# The element with the focus: a name to tell it by; whether the browser or the page draws something around it; whether
# some part of it can be seen; and whether Tab was there before.
_FOCUSED = """() => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const seen = window.seenByTab ??= new Set();
    const before = seen.has(element) && window.lastByTab !== element;
    seen.add(element);
    window.lastByTab = element;
    const drawn = node => {
        if (!node) return false;
        const style = getComputedStyle(node);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    };
    const label = element.labels?.[0];
    const box = element.getBoundingClientRect();
    const shown = [[0.5, 0.5], [0.05, 0.5], [0.95, 0.5], [0.5, 0.1], [0.5, 0.9]].some(([x, y]) => {
        const top = document.elementFromPoint(box.left + box.width * x, box.top + box.height * y);
        return top && (element.contains(top) || top.contains(element) && top !== document.documentElement
            && top !== document.body && !top.matches('main') || label && label.contains(top));
    });
    return {
        name: element.outerHTML.slice(0, 160).replace(/\\s+/g, ' '),
        drawn: drawn(element) || drawn(element.closest('label')) || drawn(label) && element.matches('[type=file]'),
        shown: shown,
        before: before,
    };
}"""

# Colours that fade into those of the other theme would be measured half way.
_END_ANIMATIONS = """() => {
    for (const animation of document.getAnimations()) {
        if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish(); else animation.cancel();
    }
}"""


# Two workers share them, each with one installation and one browser for each person.
GROUPS = [pytest.mark.xdist_group(f"pages-{half}") for half in range(2)]
each_page = pytest.mark.parametrize(
    "look", [pytest.param(look, marks=GROUPS[place % 2], id=look.name) for place, look in enumerate(LOOKS)]
)
# The one width or the other: what has the focus is drawn by the same rules on both.
each_page_once = pytest.mark.parametrize(
    ("look", "width"),
    [
        pytest.param(look, WIDTHS[place // 2 % 2], marks=GROUPS[place % 2], id=f"{look.name}-{WIDTHS[place // 2 % 2]}")
        for place, look in enumerate(LOOKS)
    ],
)


@pytest.fixture
def open_look(
    served: ServedPages, looking: Callable[..., BrowserContext]
) -> Iterator[Callable[..., tuple[Page, Response]]]:
    """Opens a page of the table in the browser of its person, and does what has to be done there."""
    opened: list[Page] = []

    def open_(look: Look, **options: Any) -> tuple[Page, Response]:
        page = looking(look.person, **options).new_page()
        opened.append(page)
        page.set_viewport_size({"width": WIDTHS[0], "height": 800})
        response = page.goto(look.address.format(**served.keys))
        assert response is not None
        assert response.status == look.status, f"{response.url} answered {response.status}"
        if look.act:
            look.act(page)
        return page, response

    yield open_
    for page in opened:
        page.close()


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    """One line for each rule that is broken, with the first element that breaks it."""
    lines = []
    for rule in Axe().run(page, options=options).response["violations"]:
        first = rule["nodes"][0]
        lines.append(f"{rule['id']}, {len(rule['nodes'])} times: {first['html'][:200]} {first['failureSummary']}")
    return lines


@each_page
def test_it_has_no_barrier_in_either_theme_on_a_wide_and_on_a_narrow_screen(look, open_look):
    # The checker writes styles into the page, which the policy forbids.
    page, _ = open_look(look, bypass_csp=True, reduced_motion="reduce")
    faults = {}
    for width, theme, options in CHECKS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=theme)
        page.evaluate(_END_ANIMATIONS)
        if found := violations(page, options):
            faults[width, theme] = found
    assert faults == {}


@each_page
def test_it_fits_the_screen_asks_for_nothing_forbidden_and_every_text_is_whole(served, look, open_look, looking):
    context = looking(look.person)
    faults: list[str] = []
    own = urlsplit(served.url).netloc

    def note_message(message: Any) -> None:
        # A page that answers 404 is told of in the console, as all that is not found.
        is_told = any(f"status of {status} " in message.text for status in (look.status, look.answer))
        if message.type in ("error", "warning") and not is_told:
            faults.append(f"console: {message.text}")

    def note_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != own:
            faults.append(f"request to another host: {request.url}")

    def note_error(error: Any) -> None:
        faults.append(f"script: {error.error}")

    listeners = (("console", note_message), ("request", note_request), ("weberror", note_error))
    for event, listener in listeners:
        context.on(event, listener)  # type: ignore[call-overload]
    try:
        page, response = open_look(look)
        policy = response.headers.get("content-security-policy", "")
        if "unsafe" in policy or "default-src 'self'" not in policy:
            faults.append(f"content security policy: {policy}")
        for width in reversed(WIDTHS):
            page.set_viewport_size({"width": width, "height": 800})
            if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
                faults.append(f"{width} px wide, it needs {needed}: {_wide(page, width)}")
        texts = page.evaluate(_TEXTS)
        around = (texts[max(0, found.start() - 40) : found.end() + 40] for found in LEFTOVERS.finditer(texts))
        faults += [f"text: …{text!r}…" for text in around]
        if (headings := page.locator("h1").count()) != 1:
            faults.append(f"{headings} main headings")
    finally:
        for event, listener in listeners:
            context.remove_listener(event, listener)
    assert faults == []


def _wide(page: Page, width: int) -> list[str]:
    """The elements that stick out, the innermost only."""
    return page.evaluate(
        """width => [...document.querySelectorAll('body *')]
            .filter(element => element.getBoundingClientRect().right > width + 1
                && ![...element.children].some(child => child.getBoundingClientRect().right > width + 1))
            .slice(0, 5).map(element => element.outerHTML.slice(0, 120))""",
        width,
    )


@each_page_once
def test_the_focus_can_be_seen_wherever_tab_leads(look, open_look, width):
    page, _ = open_look(look, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    faults: dict[str, str] = {}
    for number in range(TABS):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None or focused["before"]:
            assert number > 0, "Tab leads nowhere"
            break
        if not focused["drawn"]:
            faults[focused["name"]] = "nothing shows the focus"
        if not focused["shown"]:
            faults[focused["name"]] = "it cannot be seen"
    assert faults == {}
