"""docs/connections.md as a page: who writes a document in a browser may have no other way to the docs."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt

FILE = Path(__file__).parents[3] / "docs" / "connections.md"


@lru_cache(maxsize=1)
def reference() -> SafeString:
    """The HTML of the file, without its title. Links to other files are texts. Raises FileNotFoundError."""
    _title, _, text = FILE.read_text(encoding="utf-8").partition("\n")
    text = re.sub(r"\[([^\]]+)\]\((?!#)[^)]+\)", r"\1", text)
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = html.replace("<pre>", '<pre tabindex="0">')  # it may have to be scrolled by keys
    html = re.sub(r"<h([23])>(.*?)</h\1>", _with_anchor, html)
    return mark_safe(html)  # noqa: S308 - our own file, rendered without its HTML  # nosec


def _with_anchor(heading: re.Match[str]) -> str:
    level, text = heading[1], heading[2]
    return f'<h{level} id="{slugify(re.sub("<.*?>", "", text))}">{text}</h{level}>'
