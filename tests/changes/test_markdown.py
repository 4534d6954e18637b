"""Markdown by people and partners: rendered as intended, and safe for any input."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changes.choices import Phase
from changes.models import Comment
from changes.pages.conversation.markdown import MAX_CELLS, MAX_LENGTH, TAGS, kept, render
from tests.examples import examples
from tests.factories import change_in
from tests.pages import web

ATTRIBUTES = {
    "a": {"href", "rel"},
    "ol": {"start"},
    "div": {"class", "role", "tabindex", "aria-label"},
    "pre": {"tabindex"},
    "th": {"class"},
    "td": {"class"},
}
CLASSES = {"scroll", "as-typed", "align-left", "align-center", "align-right"}


class _Reader(HTMLParser):
    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def check(text):
    """Checks that the HTML of `text` has only allowed elements and attributes."""
    read = _Reader(render(text))
    for tag, attrs in read.tags:
        assert tag in TAGS
        assert {*attrs} <= ATTRIBUTES.get(tag, set()) | {"dir"}, (tag, attrs)
        assert attrs.get("dir", "auto") == "auto"
        assert attrs.get("class", "scroll") in CLASSES
        if "href" in attrs:
            assert attrs["href"].lower().startswith(("http://", "https://", "mailto:"))
            assert attrs["rel"] == "noopener noreferrer nofollow"
    return read


# --- Intended formatting ---


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("**bold** *it* ~~no~~ `x < y`", "<strong>bold</strong> <em>it</em> <s>no</s> <code>x &lt; y</code>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("3. a", '<ol start="3">'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
        ("```sh\nrm -rf <x>\n```", '<pre tabindex="0"><code>rm -rf &lt;x&gt;\n</code></pre>'),
        ("a|b\n-|-:\n1|2", '<td class="align-right">2</td>'),
        ("Regards\n---\nalice", "<p>Regards</p>\n<hr>\n<p>alice</p>"),
        ("switch_core_01", "<p>switch_core_01</p>"),
        ("5 < 6 & 7 > 6", "<p>5 &lt; 6 &amp; 7 &gt; 6</p>"),
    ],
)
def test_markdown_is_shown_as_it_is_meant(typed, shown):
    assert shown in render(typed)


def test_a_table_can_be_scrolled_by_keyboard_and_has_a_name():
    (tag, attrs), *_rest = check("a|b\n-|-\n1|2").tags
    assert (tag, attrs) == ("div", {"class": "scroll", "role": "group", "tabindex": "0", "aria-label": "Table"})


@pytest.mark.parametrize(
    ("typed", "href"),
    [
        ("[a](https://example.com/x?a=1&b=2)", "https://example.com/x?a=1&b=2"),
        ("<http://example.com>", "http://example.com"),
        ("see https://example.com/a, please", "https://example.com/a"),
        ("[mail](mailto:a@example.com)", "mailto:a@example.com"),
        ("ask a@example.com", "mailto:a@example.com"),
        ("![plan](https://example.com/plan.png)", "https://example.com/plan.png"),
        ("[![plan](https://a.example/p.png)](https://b.example/)", "https://b.example/"),
        ("[x]\n\n[x]: https://example.com", "https://example.com"),
    ],
)
def test_an_address_is_a_link_that_gives_nothing_away_and_an_image_becomes_one(typed, href):
    assert [attrs["href"] for tag, attrs in check(typed).tags if tag == "a"] == [href]


@pytest.mark.parametrize(
    ("typed", "outline"),
    [
        ("# a\n## b\n### c", ["h3", "h4", "h5"]),
        ("### a\n# b\n###### c", ["h3", "h3", "h4"]),
        ("# a\n## b\n### c\n#### d\n##### e\n###### f", ["h3", "h4", "h5", "h6", "h6", "h6"]),
        ("> # quoted\n\n## after", ["h3", "h4"]),
    ],
)
def test_headings_go_on_below_the_pages_own_and_skip_no_level(typed, outline):
    assert [tag for tag, _ in check(typed).tags if tag.startswith("h")] == outline


# --- Hostile input ---

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    "<svg onload=alert(1)><script href='data:,alert(1)'/></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<style>*{display:none}</style>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<!-- --!> <img src=x onerror=alert(1)> -->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<a href='javascript:alert(1)' style='position:fixed' id=content name=content>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[x](vbscript:x) [x](file:///etc/passwd) [x](//evil.example) [x](/accounts/logout/) [x](#content) [x](?a=b)",
    "<javascript:alert(1)> <data:text/html,x>",
    '[x](https://a.example "onmouseover=alert(1)")',
    '[x](https://a.example" onclick="alert(1))',
    "https://a.example/\"onclick='alert(1)'<script>",
    "[x]: javascript:alert(1)\n\n[x]",
    "```\n</code></pre><script>alert(1)</script>\n```",
    '``` "><script>alert(1)</script>\nx\n```',
    "a|<script>\n-|-\n<img onerror=x>|</td><script>",
    "[<img onerror=alert(1)>](https://a.example)",
    "**<b onclick=x>**",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62;",
    "\u202e<script>\u2028alert(1)",
    "<x" * 5000,
]


@pytest.mark.parametrize("typed", HOSTILE)
def test_what_is_hostile_is_only_text(typed):
    check(typed)


def test_a_partners_comment_is_rendered_and_harmless_on_the_page(alice, acme):
    change = change_in(Phase.PLAN)
    body = "**Done** <script>alert(1)</script> [x](javascript:alert(1)) ![x](https://evil.example/pixel.png)"
    Comment(change=change, author=acme.authorized_user, body=body).save()
    content = web(alice).get(f"/changes/{change.number}/").content.decode()
    assert "<strong>Done</strong> &lt;script&gt;" in content
    assert 'src="https://evil.example' not in content
    assert 'href="javascript:' not in content
    assert Comment.objects.get().body == body


MARKS = ["<", ">", '"', "'", "&", "`", "```\n", "[", "](", ")", "!", "*", "_", "~~", "|", "\n|-|-|\n", "\n> ", "\n- "]
WORDS = [
    "script",
    "javascript:",
    "data:",
    "onerror=",
    "https://a.example",
    "&#x6a;",
    "\\",
    "\t",
    "    ",
    "svg",
    "x",
    "ü",
]
PIECES = st.sampled_from([*MARKS, *WORDS, "\n# "])


@settings(max_examples=examples(60), deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=200)))
def test_whatever_is_written_only_what_is_allowed_comes_of_it(typed):
    check(typed)


@settings(max_examples=examples(30), deadline=None)
@given(st.text(alphabet="abcäß <>&'\"", min_size=1, max_size=80).map(lambda text: f"x{text}x"))
def test_plain_words_are_shown_as_they_were_typed(typed):
    assert check(typed).text.split() == typed.split()


# --- Very deep or very long input ---


@pytest.mark.parametrize("piece", ["> ", "- ", "1. ", "> - "])
def test_what_is_too_deep_is_shown_as_it_was_typed_and_nothing_is_left_out(piece):
    typed = piece * 40 + "the point"
    assert check(typed).text == typed


def test_what_is_too_long_is_shown_as_it_was_typed():
    typed = "# a\n<script>\n" * (MAX_LENGTH // 10)
    assert check(typed).text == typed


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "[",
            "![",
            "*a ",
            "_a",
            "`",
            "<",
            ">",
            "- ",
            "a|",
            "&",
            "**a",
            "~~a",
            "\\",
            "[a](",
            "<!--",
            "*_",
            "a@",
            "https://",
        ),
        *("[a]: http://b\n", "# a\n", "|a\n|-\n", "http://a.example/(", "&#", "\n\n", "[a](http://b) ", "a@a.", "<a "),
    ],
)
def test_the_longest_text_of_any_one_piece_is_rendered(piece):
    """With exponential time this test would not end."""
    check(piece * (MAX_LENGTH // len(piece)))


# --- Small input with large output ---


def is_as_typed(typed):
    read = check(typed)
    return read.tags == [("div", {"class": "as-typed"})] and read.text == typed


def table(columns, rows, mark=""):
    lines = ["|".join(["a"] * columns), "|".join(["-"] * columns), *(["x"] * (rows - 1))]
    return "".join(f"{mark}{line}\n" for line in lines)


@pytest.mark.parametrize("mark", ["", "> "])
def test_a_table_of_too_many_cells_is_shown_as_it_was_typed(mark):
    assert is_as_typed(table(2000, 4000, mark)[:MAX_LENGTH])


def test_tables_are_counted_together_and_an_ordinary_one_is_a_table():
    assert "<table>" in render(table(10, MAX_CELLS // 10))
    assert is_as_typed(table(10, MAX_CELLS // 10 + 1))
    half = table(10, MAX_CELLS // 20)
    assert render(f"{half}\n{half}").count("<table>") == 2
    assert is_as_typed(f"{half}\n{half}\n{half}")


@pytest.mark.parametrize("use", ["[a]", "![a]", "[b][a]", "[![a]][a]"])
def test_one_long_address_that_is_named_very_often_is_shown_as_it_was_typed(use):
    address = "[a]: http://a.example/" + "x" * (MAX_LENGTH // 2)
    assert is_as_typed(f"{address}\n\n" + use * ((MAX_LENGTH // 2 - 100) // len(use)))


@pytest.mark.parametrize(
    "piece", ["- - - - - - - - - x\n", "> > > > > > > > > x\n\n", "[]()", "***a***", "`a`", "<a@b.c>"]
)
def test_what_comes_of_many_small_pieces_is_bounded(piece):
    assert len(render(piece * (MAX_LENGTH // len(piece)))) <= 15 * MAX_LENGTH


PARTS_THAT_GROW = st.sampled_from(
    [
        "a|",
        "-|",
        "\n",
        "x\n",
        "> ",
        "- ",
        "1. ",
        "[a]",
        "![a]",
        "[a]: http://a.example/xxxxxxxxxxxxxxxxxxxx\n",
        "**",
        "`",
    ]
)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.tuples(PARTS_THAT_GROW, st.integers(1, 400)), min_size=1, max_size=8))
def test_no_text_makes_very_much_more_of_itself(parts):
    typed = "".join(piece * times for piece, times in parts)
    assert len(render(typed)) <= 15 * max(len(typed), 1000)


def test_only_what_is_small_is_kept_in_memory():
    kept.cache_clear()
    render("x" * 2001)
    render("*a* " * 1000)
    assert kept.cache_info().currsize == 0
    assert render("a *small* one") == render("a *small* one")
    assert (kept.cache_info().currsize, kept.cache_info().hits) == (1, 1)
