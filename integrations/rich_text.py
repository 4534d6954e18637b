"""HTML there, text here: descriptions and plans, in both directions."""

from __future__ import annotations

import html
import re
from collections import Counter
from html.entities import html5
from html.parser import HTMLParser

import nh3

# An HTML text is several times as long as what it says.
HTML_MAX_LENGTH = 600_000
# How many elements may be open within one another. Deep trees take the cleaner very long.
DEEPEST = 100
# A text is HTML if one of these is in it. People write <address> or <server> to say what is to be filled in.
_OF_EDITORS = (
    "a abbr article aside b big blockquote body br caption center code col colgroup dd del div dl dt em figcaption"
    " figure font footer h1 h2 h3 h4 h5 h6 head header hr html i iframe img ins kbd li main mark meta nav ol p pre"
    " q s samp script section small span strike strong style sub sup svg table tbody td tfoot th thead tr tt u ul var"
)
# These are tags too, in a text that is HTML, and so are those of office programs, such as <o:p>.
_OTHERS = (
    "address audio base button canvas cite datalist details dfn dialog fieldset form input label legend link math nobr"
    " noscript object optgroup option picture select source summary template textarea time title video wbr"
    " [movwx]:[a-z]+"
)
# An attribute has a value, or is one of those that have none. In `a<b and c>d` there is no tag.
_ATTRIBUTES = r"""
    (?: [\s/]*+ (?:
        [a-z_:@][\w:.-]*+ \s*+ = \s*+ (?: "[^"]*+" | '[^']*+' | [^\s"'<>=]++ )
        | (?: async|checked|compact|controls|defer|disabled|hidden|nowrap|open|reversed|selected ) \b
    ) )*+ [\s/]*+ >
"""
# None of these goes over its text more than once, whatever it is: see the tests.
_OTHER_MARKUP = r"""
    <!-- (?: (?! -->|<!-- ) . )*+ -->
    | <! (?: doctype\b | \[(?:if|endif)\b ) [^<>]*+ >
    | <\?xml\b [^<>]*+ >
"""


def _markup(names: str, or_else: str = "") -> re.Pattern[str]:
    """A tag with one of these names, or any other markup."""
    tag = rf"</? (?: {'|'.join(names.split())} ) (?![\w:.-]) {_ATTRIBUTES}"
    return re.compile(rf"{tag} | {_OTHER_MARKUP} {or_else}", re.IGNORECASE | re.DOTALL | re.VERBOSE)


_IS_HTML = _markup(_OF_EDITORS)
_MARKUP = _markup(f"{_OF_EDITORS} {_OTHERS}", "| (?P<text> < )")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_LEADING_LINE_END = re.compile(r"^[ \t\f]*[\r\n][ \t\f\r\n]*")
# Matches whole runs of spaces. One that must have a line end in it would be tried at each space of a run anew.
_SPACES = re.compile(r"[ \t\f\r\n]+")
_ANY_TAG = re.compile(r"<(/?)([a-z][a-z0-9]{0,20})")
_CLOSED_BY_THEMSELVES = {"p", "br", "img", "hr", "li", "td", "th", "tr", "dt", "dd", "option", "input", "meta", "link"}
_BLOCKS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "table", "hr"}
_LINES = {"div", "li", "tr", "section", "article", "header", "footer", "dt", "dd"}
_CELLS = {"td", "th"}
_TAGS = {*_BLOCKS, *_LINES, *_CELLS, "br", "a", "img", "thead", "tbody", "dl"}
# The deepest indentation of a list within a list.
_DEEPEST = 10


def to_html(text: str) -> str:
    """The text, escaped, with `<br>` for its line ends."""
    return _LINE_END.sub("<br>", html.escape(text, quote=False))


def as_read(text: str) -> str:
    """The text as it is after it was read as HTML, and turned into text again."""
    return "\n".join(line.rstrip() for line in _LINE_END.split(text.replace("\xa0", " "))).strip("\n")


def to_text(given: str) -> str:
    """What the HTML says: paragraphs, lists and links keep their structure.

    A text without any tag stays as it is, but for references such as `&lt;`: what was read is escaped. In HTML, what
    only looks like a tag is text.

    Raises ValueError for one that is too long, or nested too deeply.
    """
    if len(given) > HTML_MAX_LENGTH:
        raise ValueError(f"It has {len(given)} characters; at most {HTML_MAX_LENGTH} are taken.")
    if not _IS_HTML.search(given):
        return _REFERENCE.sub(_referred, given)
    given = _MARKUP.sub(lambda found: "&lt;" if found["text"] else found[0], given)
    _refuse_deep(given)
    reader = _Reader()
    # First made well-formed, and without scripts and styles. So the reader meets nothing odd.
    cleaned = nh3.clean(
        given,
        tags=_TAGS,
        attributes={"a": {"href"}, "img": {"alt"}},
        url_schemes={"http", "https", "mailto", "ftp"},
        link_rel=None,
        strip_comments=True,
    )
    reader.feed(cleaned)
    reader.close()
    return reader.text()


def _referred(reference: re.Match[str]) -> str:
    """What a whole reference stands for. An address with `&copy=1` in it has none."""
    is_known = reference[0][1] == "#" or reference[0][1:] in html5
    return html.unescape(reference[0]) if is_known else reference[0]


def _space(spaces: re.Match[str]) -> str:
    """One space for those around a line end; others as they are."""
    return " " if "\n" in spaces[0] or "\r" in spaces[0] else spaces[0]


def _refuse_deep(given: str) -> None:
    opened: Counter[str] = Counter()
    depth = 0
    for closing, tag in _ANY_TAG.findall(given.lower()):
        if tag in _CLOSED_BY_THEMSELVES or (closing and not opened[tag]):
            continue
        step = -1 if closing else 1
        opened[tag] += step
        depth += step
        if depth > DEEPEST:
            raise ValueError(f"More than {DEEPEST} elements are open within one another.")


class _Reader(HTMLParser):
    """Collects lines. `_pending`: how many line ends stand between what is written already and what comes next."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._pending = 0
        self._lists: list[int | None] = []  # the number of the last item; None in a list with points
        self._links: list[tuple[str, int]] = []
        self._verbatim = 0
        self._is_new_item = False

    def text(self) -> str:
        lines = "".join(self._parts).split("\n")
        return "\n".join(line.rstrip() for line in lines).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br":
            self._pending += 1
        elif tag in _CELLS and not self._is_at_start:
            self._write(" | ")
        elif tag == "img":
            self._write(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self._parts)))
        else:
            self._separate(tag)
        if tag in ("ul", "ol"):
            self._lists.append(None if tag == "ul" else 0)
        elif tag == "li":
            self._begin_item()
        elif tag == "pre":
            self._verbatim += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)
        elif tag == "a" and self._links:
            self._end_link(*self._links.pop())
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        data = data.replace("\xa0", " ")
        if self._verbatim:
            for place, line in enumerate(_LINE_END.split(data)):
                self._pending += bool(place)
                self._write(line)
            return
        # A line end in HTML is a space, and none at the beginning of a line. Other spaces stay, for alignment.
        if self._is_at_start:
            data = _LEADING_LINE_END.sub("", data)
            if not data.strip():
                return
        self._write(_SPACES.sub(_space, data))

    # --- Writing ---

    @property
    def _is_at_start(self) -> bool:
        return bool(self._pending) or not self._parts

    def _separate(self, tag: str) -> None:
        """After this, what comes next begins a line, or a paragraph, unless it does already."""
        if self._is_new_item and tag in ("p", "div"):
            return  # it goes on behind the mark of the item
        if tag in _BLOCKS:
            self._pending = max(self._pending, 1 if self._lists else 2)
        elif tag in _LINES:
            self._pending = max(self._pending, 1)

    def _begin_item(self) -> None:
        depth = min(max(0, len(self._lists) - 1), _DEEPEST)
        mark = "- "
        if self._lists and self._lists[-1] is not None:
            self._lists[-1] += 1
            mark = f"{self._lists[-1]}. "
        self._write("  " * depth + mark)
        self._is_new_item = True

    def _end_link(self, address: str, start: int) -> None:
        shown = "".join(self._parts[start:]).strip()
        if address and address not in (shown, f"mailto:{shown}"):
            self._write(f" ({address})" if shown else address)

    def _write(self, text: str) -> None:
        if not text:
            return
        if self._parts:
            self._parts.append("\n" * self._pending)
        self._pending = 0
        self._parts.append(text)
        self._is_new_item = False
