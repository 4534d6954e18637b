"""Checks of every page on a real server: size, accessibility, content security policy, width, and visible focus.

Opening a page is slow, so all checks of one page are one test. Each check is a subtest that fails separately.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Page, Response, ViewportSize

from tests.barriers import LOOK, TAGS, barriers

from .conftest import ServedPages
from .pages_to_look_at import LOOKS, Look
from .scales import Scales

pytestmark = pytest.mark.xdist_group("pages")

Theme = Literal["dark", "light"]
WIDE, NARROW = 1280, 375
# Bytes on the network: at the first visit, and with cached style sheets, scripts and font.
FIRST = 100 * 1024
SECOND = 20 * 1024
# Each page is looked at by all rules in one way, and by those of its look in the opposite one as well. Which is which
# goes by turns, so that what pages of a kind share is seen by all rules in all four ways. The narrow way comes first,
# and the theme of a page's end is that of the next one's beginning: each change of either lays out the page anew.
CHECKS: tuple[tuple[tuple[int, Theme, list[str]], ...], ...] = (
    ((NARROW, "dark", LOOK), (WIDE, "light", TAGS)),
    ((NARROW, "light", LOOK), (WIDE, "dark", TAGS)),
    ((NARROW, "dark", TAGS), (WIDE, "light", LOOK)),
    ((NARROW, "light", TAGS), (WIDE, "dark", LOOK)),
)
TABS, BUNDLE = 250, 10
# Each row of a table, entry of the timeline and change in the calendar is drawn by the same rules: so many are looked
# at closely.
_SHORTEN = """() => document.querySelectorAll(
    'tbody tr:nth-child(n+13), #entries > .entry:nth-child(n+13), .lane .box:nth-child(n+5), .lane:nth-of-type(n+9)'
).forEach(element => element.remove())"""
# What htmx says when a page is left while it asks for something, as those do who send a form.
LEFT = ("htmx:afterRequest", "htmx:sendAbort", "htmx:sendError")
# Traces of an error in a template.
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

# Notes, after each Tab, of the element with the focus: a name to tell it by; whether the browser or the page draws
# something around it; whether some part of it can be seen; and whether Tab was there before. Null where there is none.
_WATCH_FOCUS = """() => {
    const seen = new Set();
    let last = null;
    const drawn = node => {
        if (!node) return false;
        const style = getComputedStyle(node);
        return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    };
    const told = element => {
        const before = seen.has(element) && last !== element;
        seen.add(element);
        last = element;
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
    };
    window.focused = [];
    window.noteFocus = () => {
        const element = document.activeElement;
        window.focused.push(!element || element === document.body ? null : told(element));
    };
    // A Tab has not moved the focus yet when it is heard of: this is where the one before it led.
    addEventListener('keydown', event => { if (event.key === 'Tab' && event.repeat) window.noteFocus(); }, true);
    // About so many elements are to come.
    return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')].filter(
        element => element.tabIndex >= 0 && !element.disabled && element.checkVisibility()).length;
}"""
_READ_FOCUS = "() => { window.noteFocus(); return window.focused.splice(0); }"

_LEAVE_FOCUS = "document.activeElement?.blur(); scrollTo(0, 0)"


class Visit:
    """A page of the table in the browser of its person, with the faults found on it."""

    def __init__(self, look: Look, page: Page, served: ServedPages) -> None:
        self.look = look
        self.page = page
        self.faults: list[str] = []
        self.response: Response | None = None
        self._address = look.address.format(**served.keys)
        self._own = urlsplit(served.url).netloc

    def open(self) -> None:
        self.response = self.page.goto(self._address)
        assert self.response is not None
        assert self.response.status == self.look.status, f"{self.response.url} answered {self.response.status}"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Collects script errors, console errors and failed requests meanwhile."""
        listeners = (("console", self._note_message), ("request", self._note_request), ("weberror", self._note_error))
        for event, listener in listeners:
            self.page.context.on(event, listener)  # type: ignore[call-overload]
        try:
            yield
        finally:
            for event, listener in listeners:
                self.page.context.remove_listener(event, listener)

    def _note_message(self, message: Any) -> None:
        # The console reports every 404, also that of the page itself, which is expected.
        is_told = any(f"status of {status} " in message.text for status in (self.look.status, self.look.answer))
        is_told |= self.look.act is not None and message.text.startswith(LEFT)
        if message.type in ("error", "warning") and not is_told:
            self.faults.append(f"console: {message.text}")

    def _note_request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != self._own:
            self.faults.append(f"request to another host: {request.url}")

    def _note_error(self, error: Any) -> None:
        self.faults.append(f"script: {error.error}")


@pytest.fixture
def visit(served: ServedPages, looking: Callable[..., Page]) -> Callable[[Look], Visit]:
    def begin(look: Look) -> Visit:
        page = looking(look.person, reduced_motion="reduce")
        show(page, WIDE)
        return Visit(look, page, served)

    return begin


@pytest.mark.parametrize(("place", "look"), [*enumerate(LOOKS)], ids=[look.name for look in LOOKS])
def test_a_page(place, look, visit, subtests):
    visited = visit(look)
    page = visited.page
    with visited.listening():
        # Actions on a page do not count for its size. Error pages load nothing of their own.
        if look.act is None and look.status == 200:
            with subtests.test("it is light, and lighter the second time"):
                check_weight(visited)
        else:
            visited.open()
        with subtests.test("it fits the screen, asks for nothing forbidden, and every text is whole"):
            check_content(visited)
    page.evaluate(_SHORTEN)
    for width, theme, rules in CHECKS[place % len(CHECKS)]:
        show(page, width, theme)
        # One width is enough: the focus looks alike on both.
        if rules is TAGS:
            with subtests.test("the focus can be seen wherever Tab leads"):
                check_focus(page)
        with subtests.test("it has no barrier in either theme, nor on a wide or a narrow screen", way=(width, theme)):
            page.evaluate(_LEAVE_FOCUS)
            assert barriers(page, rules=rules) == []


_themes: WeakKeyDictionary[Page, str] = WeakKeyDictionary()


def show(page: Page, width: int, theme: Theme | None = None) -> None:
    """Each of the two lays out the whole page anew, even if it is as wide, or of that theme, already."""
    if page.viewport_size != (size := ViewportSize(width=width, height=800)):
        page.set_viewport_size(size)
    if theme and _themes.get(page) != theme:
        page.emulate_media(color_scheme=theme)
        _themes[page] = theme


def check_weight(visited: Visit) -> None:
    def open_page() -> None:
        visited.open()
        visited.page.evaluate("document.fonts.ready")

    scales = Scales(visited.page)
    first, second = scales.weigh(open_page)
    scales.close()
    assert 0 < sum(first.values()) <= FIRST, first
    assert 0 < sum(second.values()) <= SECOND, second


def check_content(visited: Visit) -> None:
    page, faults = visited.page, visited.faults
    assert visited.response is not None
    policy = visited.response.headers.get("content-security-policy", "")
    if visited.look.act:
        visited.look.act(page)
    if "unsafe" in policy or "default-src 'self'" not in policy:
        faults.append(f"content security policy: {policy}")
    for width in (WIDE, NARROW):
        show(page, width)
        if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
            faults.append(f"{width} px wide, it needs {needed}: {_wide(page, width)}")
    # The reference of a connection's document is about templates.
    texts = "" if "/connections/reference/" in visited.look.address else page.evaluate(_TEXTS)
    around = (texts[max(0, found.start() - 40) : found.end() + 40] for found in LEFTOVERS.finditer(texts))
    faults += [f"text: …{text!r}…" for text in around]
    if (headings := page.locator("h1").count()) != 1:
        faults.append(f"{headings} main headings")
    assert faults == []


def _wide(page: Page, width: int) -> list[str]:
    """The elements that are wider than the screen, only the innermost ones."""
    return page.evaluate(
        """width => [...document.querySelectorAll('body *')]
            .filter(element => element.getBoundingClientRect().right > width + 1
                && ![...element.children].some(child => child.getBoundingClientRect().right > width + 1))
            .slice(0, 5).map(element => element.outerHTML.slice(0, 120))""",
        width,
    )


def check_focus(page: Page) -> None:
    page.evaluate(_LEAVE_FOCUS)
    expected = page.evaluate(_WATCH_FOCUS)
    faults: dict[str, str] = {}
    for focused in _tabbed(page, expected):
        if focused is None:
            continue  # It has left the page, and comes in again at the top: some pages begin in the middle.
        if focused["before"]:
            break
        if not focused["drawn"]:
            faults[focused["name"]] = "nothing shows the focus"
        if not focused["shown"]:
            faults[focused["name"]] = "it cannot be seen"
    else:
        faults["Tab"] = f"it comes to no end within {TABS}"
    assert faults == {}


def _tabbed(page: Page, expected: int) -> Iterator[dict[str, Any] | None]:
    """Where Tab leads, one by one; asked for in bundles, in each of which the key is held down and repeats.

    After the `expected` elements, and what scrolls, the focus begins anew: mostly in the first bundle.
    """
    for bundle in (expected + 5, *[BUNDLE] * (TABS // BUNDLE)):
        page.keyboard.press("+".join(["Tab"] * bundle))
        yield from page.evaluate(_READ_FOCUS)


def test_a_text_that_is_hard_to_read_is_found_among_those_that_were_read_before(looking):
    page = looking("boss", reduced_motion="reduce")
    page.goto("/keyboard/")
    show(page, WIDE, "light")
    assert barriers(page) == []
    heading = page.locator("h1")
    heading.evaluate("heading => heading.style.setProperty('opacity', '0.3')")
    assert [found.partition(",")[0] for found in barriers(page)] == ["color-contrast"]
    heading.evaluate("heading => heading.style.setProperty('opacity', '')")
    page.locator("main").evaluate("main => main.style.setProperty('background', 'rgb(110, 110, 110)')")
    assert [found.partition(",")[0] for found in barriers(page, rules=LOOK)] == ["color-contrast"]
