"""Looks with axe for barriers on a page: the rules of WCAG 2.2 A and AA, and axe's best practices."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import CDPSession, Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What depends on how a page looks. The other rules read the document, which is the same in both themes.
LOOK = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]

# The rule of contrast takes most of the time, so it reads only what is marked.
_PREPARE = f"""{AXE_SCRIPT};
axe.configure({{noHtml: true, rules: [{{id: 'color-contrast', selector: '[data-unread]'}}]}});"""

# A look is all that the contrast of a text depends on: its colour, size and weight, and what is painted behind it. Text
# of a look that has passed once, on whatever page, passes again, and is not marked. No look is known inside drawings,
# nor on a page with something painted that is placed freely: it may lie behind a text without being around it.
_FIND = """async ([within, options, known]) => {
    if (!window.axe) return null;
    // Otherwise axe would measure colours while they fade into those of the other theme.
    for (const animation of document.getAnimations()) {
        if (Number.isFinite(animation.effect.getComputedTiming().endTime)) animation.finish(); else animation.cancel();
    }
    const passed = new Set(known.split('\\n')), news = new Set(), behind = new Map(), looks = new Map();
    let isOverlaid = false;
    for (const element of document.querySelectorAll('html, body, body *')) {
        const style = getComputedStyle(element);
        let under = behind.get(element.parentElement) || '';
        const isPainted = style.backgroundColor !== 'rgba(0, 0, 0, 0)' || style.backgroundImage !== 'none';
        if (isPainted || style.opacity !== '1') {
            under += `${style.backgroundColor} ${style.backgroundImage} ${style.opacity}; `;
        }
        if (isPainted && /absolute|fixed/.test(style.position) && element.checkVisibility()) {
            const box = element.getBoundingClientRect();
            isOverlaid ||= box.width > 1 && box.height > 1 && box.right > 0 && box.bottom > 0;
        }
        behind.set(element, under);
        if (!(element instanceof SVGElement)) {
            looks.set(element, `${under}${style.color} ${style.fontSize} ${style.fontWeight} ${style.textShadow}`);
        }
    }
    for (const element of behind.keys()) {
        const isText = element.matches('input, select, textarea')
            || [...element.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim());
        element.toggleAttribute('data-unread', isText && (isOverlaid || !passed.has(looks.get(element))));
    }
    options.reporter = (rules, _, done) => {
        const contrast = rules.find(rule => rule.id === 'color-contrast');
        if (!isOverlaid) contrast?.passes.forEach(found => news.add(looks.get(found.node.element)));
        done(rules.filter(rule => rule.violations.length).map(({id, violations: [first, ...others]}) => {
            const told = [...first.any, ...first.all, ...first.none].map(check => check.message).join('; ');
            const html = first.node.element.outerHTML.slice(0, 200);
            return `${id}, ${others.length + 1} times: ${html} ${told}`;
        }));
    };
    const faults = await axe.run(within || document, options);
    return {faults, passed: [...news].filter(Boolean)};
}"""

_passed: set[str] = set()
_sessions: WeakKeyDictionary[Page, CDPSession] = WeakKeyDictionary()


def barriers(page: Page, *, rules: list[str] = TAGS, within: str | None = None) -> list[str]:
    """What is wrong on the page as it is now: each violated rule, with the first element that violates it.

    `rules`: the names of rules, or of groups of them. `within`: a selector of the only part to look at.
    """
    # axe checks the size of targets only on request. It need not preload styles and media, for rules about what no
    # page has.
    options = {"runOnly": rules, "rules": {"target-size": {"enabled": True}}, "preload": False}
    asked: list[Any] = [within, options, "\n".join(_passed)]
    found = page.evaluate(_FIND, asked)
    if found is None:
        _prepare(page)
        found = page.evaluate(_FIND, asked)
    _passed.update(found["passed"])
    return found["faults"]


def _prepare(page: Page) -> None:
    """Brings axe to the page, by a session that is kept: this is twice as fast as evaluate()."""
    if page not in _sessions:
        _sessions[page] = page.context.new_cdp_session(page)
    answer = _sessions[page].send("Runtime.evaluate", {"expression": _PREPARE})
    assert "exceptionDetails" not in answer, answer
