"""Markdown by people and partners as HTML that is safe on our pages, whoever wrote it.

The database and partners get the text as it was typed; the HTML is only for pages. The parser accepts no HTML and only
allowed addresses. Its output is sanitised nevertheless, with an allow list.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

import nh3
from django.utils.html import escape, format_html, urlize
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, heading, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline, emphasis
from markdown_it.token import Token

from changes.texts import isolation

# A longer text is shown as typed, because the parser's time may grow faster than the length.
MAX_LENGTH = 20_000
# A text with more table cells, tokens or growth is shown as typed, too. A short text can become very long HTML: each
# line of a table gets as many cells as its head, and a reference to a link is replaced by the whole address.
MAX_CELLS = 2_000
MAX_TOKENS = 20_000
MAX_GROWTH = 5
# The HTML of a longer text is not cached.
MAX_KEPT = 2_000
# A page with many texts shows only the beginning of a longer text.
BEGINNING = 4_000
# In deeper quotes and lists the parser would drop text, so such a text is shown as typed.
MAX_DEPTH = 20
SCHEMES = {"http", "https", "mailto"}
# The levels of headings: a comment is below an h2 of the page.
FIRST_HEADING, LAST_HEADING = 3, 6
TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *(f"h{level}" for level in range(FIRST_HEADING, LAST_HEADING + 1)),
}
DIRECTED = ("p", "li", "th", "td", "pre", *(f"h{level}" for level in range(FIRST_HEADING, LAST_HEADING + 1)))
_ALIGNMENTS = {"align-left", "align-center", "align-right"}


def render(text: str) -> SafeString:
    """The text rendered as HTML; as typed if it is too long or too complex."""
    made = kept if len(text) <= MAX_KEPT else _rendered
    return mark_safe(made(text, get_language() or ""))  # noqa: S308 - sanitised  # nosec


def as_typed(text: str) -> SafeString:
    """The text as typed, as HTML, with its addresses as links."""
    has_links = len(text) <= MAX_LENGTH and ("://" in text or "@" in text)
    return _as_typed(text, mark_safe(urlize(text, nofollow=True, autoescape=True)) if has_links else text)  # noqa: S308  # nosec


def _as_typed(text: str, shown: str) -> SafeString:
    is_turned = isolation.is_turned(text)
    return format_html(
        '<div class="as-typed" dir="auto">{}</div>' if is_turned else '<div class="as-typed">{}</div>', shown
    )


def beginning(text: str) -> str:
    """The part of a text that a page with many texts shows, cut between lines or words if possible."""
    if len(text) <= BEGINNING:
        return text
    start = text[:BEGINNING]
    places = (start.rfind("\n"), start.rfind(" "))
    return start[: next((place for place in places if place > BEGINNING // 2), BEGINNING)]


@lru_cache(maxsize=512)
def kept(text: str, language: str) -> str:
    """The rendered text, cached: a comment is never edited. `language` is the language of the labels."""
    return _rendered(text, language)


def _rendered(text: str, language: str) -> str:
    # If so, each part gets its own direction, so that it does not reorder the text beside it.
    is_turned = isolation.is_turned(text)
    tokens = _parsed(text)
    if not tokens:
        return _as_typed(text, text)
    html = _parser.renderer.render(tokens, _parser.options, {})
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"*": set(), "a": {"href"}, "ol": {"start"}},
        tag_attribute_values={
            "div": {"class": {"scroll"}, "role": {"group"}, "tabindex": {"0"}, "aria-label": {_table_label()}},
            "pre": {"tabindex": {"0"}},
            "th": {"class": _ALIGNMENTS},
            "td": {"class": _ALIGNMENTS},
        },
        set_tag_attribute_values={tag: {"dir": "auto"} for tag in DIRECTED} if is_turned else {},
        url_schemes=SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
    )


def _parsed(text: str) -> list[Token]:
    """The tokens of the text; an empty list if it must be shown as typed."""
    if len(text) > MAX_LENGTH:
        return []
    try:
        tokens = _parser.parse(text)
    except _TooManyCells:
        return []
    return [] if _is_too_deep(tokens) or _is_too_much(tokens, len(text)) else tokens


def _is_too_deep(tokens: Sequence[Token]) -> bool:
    return any(token.nesting == 1 and token.level >= MAX_DEPTH - 1 for token in tokens)


def _is_too_much(tokens: Sequence[Token], length: int) -> bool:
    """Whether the HTML would be far longer than the text."""
    every = [part for token in tokens for part in (token, *(token.children or ()))]
    size = sum(len(str(token.attrs.get("href", ""))) + len(token.content) for token in every)
    return len(every) > MAX_TOKENS or size > MAX_GROWTH * max(length, 1000)


def _emphasis(state: StateInline, silent: bool) -> bool:
    """The parser's own rule, but only for asterisks: underscores are part of names such as `__init__.py`."""
    return state.src[state.pos] != "_" and emphasis.tokenize(state, silent)


def _heading(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The parser's own rule, but only for a line on its own: several lines with `#` come from a log or a shell."""
    signs = [_signs(state, line) for line in (start - 1, start, start + 1) if 0 <= line < end]
    place = 1 if start > 0 else 0
    is_among_like = signs.count(signs[place]) > 1
    has_text_before = start > 0 and signs[0] == 0 and not state.isEmpty(start - 1)
    return not (is_among_like or has_text_before) and heading(state, start, end, silent)


def _signs(state: StateBlock, line: int) -> int:
    """The number of `#` signs at the beginning of the line."""
    text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
    return len(text) - len(text.lstrip("#"))


class _TooManyCells(Exception):  # noqa: N818 - it ends the parsing, and is no error
    """A table would have too many cells. Raised before they are made."""


_CELLS = "cells"


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The parser's own rule, after counting the cells that it would make."""
    is_table = table(state, start, end, True)
    if silent or not is_table:
        return is_table
    last = start + 1
    while last < end and not state.isEmpty(last):
        last += 1
    columns = state.src.count("|", state.bMarks[start], state.eMarks[start]) + 1
    state.env[_CELLS] = state.env.get(_CELLS, 0) + columns * (last - start - 1)
    if state.env[_CELLS] > MAX_CELLS:
        raise _TooManyCells
    return table(state, start, end, False)


# --- Adjustments of the parser's output ---


def _is_allowed(url: str) -> bool:
    """Whether an address may become a link. One without a scheme would lead to our own pages."""
    scheme, colon, rest = url.partition(":")
    return bool(colon and rest) and scheme.lower() in SCHEMES and not re.search(r"[\x00-\x20\x7f]", url)


def _settle_headings(state: StateCore) -> None:
    """Fits headings into the outline of the page: the first is an h3, and each is at most one level deeper."""
    above: list[int] = []
    for opening, closing in zip(state.tokens, state.tokens[2:], strict=False):
        if opening.type != "heading_open":
            continue
        level = int(opening.tag[1:])
        while above and above[-1] >= level:
            above.pop()
        above.append(level)
        opening.tag = closing.tag = f"h{min(FIRST_HEADING + len(above) - 1, LAST_HEADING)}"


def _settle_alignment(state: StateCore) -> None:
    """Replaces the style attribute by a class, because our Content-Security-Policy forbids inline styles."""
    for token in state.tokens:
        if token.type in ("th_open", "td_open") and (style := token.attrs.pop("style", None)):
            token.attrs["class"] = str(style).replace("text-align:", "align-")


def _settle_inline(state: StateCore) -> None:
    """Replaces images by links: loading an image would tell its server who reads the comment."""
    for token in state.tokens:
        if token.children:
            token.children = _without_images(token.children)


def _without_images(children: Sequence[Token]) -> list[Token]:
    result: list[Token] = []
    inside = 0  # 1 inside a link, since links cannot be nested
    for token in children:
        inside += token.nesting if token.type in ("link_open", "link_close") else 0
        if token.type != "image":
            token.meta["is_linked"] = inside > 0
            result.append(token)
            continue
        url = str(token.attrs["src"])
        label = Token("text", "", 0, content=token.content or url, meta={"is_linked": True})
        if inside:
            result.append(label)
        else:
            result += [Token("link_open", "a", 1, attrs={"href": url}), label, Token("link_close", "a", -1)]
    return result


Env = MutableMapping[str, Any]


def _text(self: RendererHTML, tokens: Sequence[Token], idx: int, options: object, env: Env) -> str:
    """Renders text, with pasted addresses as links."""
    token = tokens[idx]
    if token.meta.get("is_linked") or ("://" not in token.content and "@" not in token.content):
        return escape(token.content)
    return urlize(token.content, autoescape=True)


def _code(self: RendererHTML, tokens: Sequence[Token], idx: int, options: object, env: Env) -> str:
    """Renders a code block. `tabindex` lets people scroll a wide one by keyboard."""
    return format_html('<pre tabindex="0"><code>{}</code></pre>\n', tokens[idx].content)


def _table_label() -> str:
    return gettext("Table")


def _table_open(self: RendererHTML, tokens: Sequence[Token], idx: int, options: object, env: Env) -> str:
    return format_html('<div class="scroll" role="group" tabindex="0" aria-label="{}"><table>\n', _table_label())


def _table_close(self: RendererHTML, tokens: Sequence[Token], idx: int, options: object, env: Env) -> str:
    return "</table></div>\n"


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": MAX_DEPTH})
    parser.enable(["table", "strikethrough"])
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    # `lheading`: dashes below a text are meant as a line, not as a heading. `html_*`: HTML is shown as it was typed.
    # `escape`: a backslash stays, as in the name of a network share.
    parser.disable(["lheading", "html_block", "html_inline", "escape"])
    parser.block.ruler.at("heading", _heading, {"alt": ["paragraph", "reference", "blockquote"]})
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.validateLink = _is_allowed  # type: ignore[method-assign]
    for settle in (_settle_headings, _settle_alignment, _settle_inline):
        parser.core.ruler.push(settle.__name__, settle)
    rules = {"text": _text, "fence": _code, "code_block": _code}
    for name, rule in {**rules, "table_open": _table_open, "table_close": _table_close}.items():
        parser.add_render_rule(name, rule)
    return parser


_parser = _make_parser()
