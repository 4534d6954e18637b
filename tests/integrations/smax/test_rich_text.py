"""HTML there and text here: what is read is escaped, and what is written keeps its structure."""

import time

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from integrations.rich_text import as_read, to_html, to_text
from tests.examples import examples
from tests.rows import each_row

# HTML, text
WRITTEN = [
    ("plain\ntext", "plain\ntext"),
    ("a &lt; b &amp; c&nbsp;d", "a < b & c\xa0d"),
    ("a < b > c", "a < b > c"),
    ("use a<b and c>d", "use a<b and c>d"),
    ("use a<b and c>d<br>or else", "use a<b and c>d\nor else"),
    ("ssh <user>@<address>, see <title>", "ssh <user>@<address>, see <title>"),
    ("<p>ssh &lt;user&gt;@<server></p>", "ssh <user>@<server>"),
    ("a &lt;b&gt; c", "a <b> c"),  # as it is read
    ("a &amp;lt;b&amp;gt; c", "a &lt;b&gt; c"),
    ("/?a=1&copy=2&amp;lt=3 &nothing; &notit;", "/?a=1&copy=2&lt=3 &nothing; &notit;"),
    ("if x<!y and z<-- w", "if x<!y and z<-- w"),
    ("a </ b <3", "a </ b <3"),
    ("<?xml:namespace prefix = o /><p>a<o:p>&nbsp;</o:p><![if !x]>b<![endif]></p>", "a b"),
    ("<!DOCTYPE html><html><head><title>T</title></head><body>x</body></html>", "Tx"),
    ("<P CLASS=a style='x: \"<y>\"'>One</P\n><TD NOWRAP>Two", "One\n\nTwo"),
    ("<p>One</p><p>Two<br>three</p>", "One\n\nTwo\nthree"),
    ("<div>One</div><div>Two</div>", "One\nTwo"),
    ("<p>\n  One\n  two </p>\n\n<p>Three</p>", "One two\n\nThree"),
    ("<h1>Title</h1>Text", "Title\n\nText"),
    ("<ul><li>One</li><li>Two<ol><li>A</li></ol></li></ul><p>After</p>", "- One\n- Two\n  1. A\n\nAfter"),
    ("<ol><li><p>One</p></li><li><div>Two</div></li></ol>", "1. One\n2. Two"),
    ('<a href="https://x.example/">This</a>', "This (https://x.example/)"),
    ('<a href="https://x.example/">https://x.example/</a>', "https://x.example/"),
    ('<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"),
    ('<a href="javascript:alert(1)">This</a>', "This"),
    ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
    ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 | 2\n3"),
    ("a<br>  b<br/><br />c", "a\n  b\n\nc"),
    ("<p>a</p><br><p>b</p>", "a\n\n\nb"),
    ('<img alt="A plan" src="x.png">', "A plan"),
    ("<script>alert(1)</script><style>p {}</style>ok", "ok"),
    ("<b>bold</b> <i>and</i> <unknown>so on</unknown>", "bold and <unknown>so on</unknown>"),
    ("<p>unclosed <b>all", "unclosed all"),
    ("<!-- a comment -->x", "x"),
    ("&lt;b&gt;<br>", "<b>"),
    ("", ""),
]  # fmt: skip


@each_row("given, text", WRITTEN)
def test_what_is_written(given, text):
    assert to_text(given) == text


# text, HTML
READ = [
    ("", ""),
    ("a < b & c", "a &lt; b &amp; c"),
    ("one\ntwo\r\nthree\rfour", "one<br>two<br>three<br>four"),
    ('"quoted"', '"quoted"'),
]


@each_row("text, shown", READ)
def test_what_is_read(text, shown):
    assert to_html(text) == shown


anything = st.one_of(st.text(max_size=80), st.text("<>&;/ \n\r\tab-1.pli", max_size=80))


@settings(max_examples=examples(300), deadline=None, database=None)
@drawn(anything.map(lambda text: text.replace("\x00", "")))
def test_a_text_that_is_read_and_written_back_counts_as_the_same(text):
    assert as_read(to_text(to_html(text))) == as_read(text)


# pieces that are repeated up to the limit
HEAVY = [
    "<",
    "<!",
    "</a>",
    "&",
    "&lt;",
    "<p>",
    "<p><b></b>",
    "<li>",
    "<br>",
    "<a href='http://x'>y</a>",
    "\n",
]


@each_row("piece", HEAVY)
def test_a_large_text_takes_little_time(piece):
    begun = time.process_time()
    to_text("<p>" + piece * (200_000 // len(piece)))
    assert time.process_time() - begun < 10


@each_row("piece", ["<div>", "<b>", "<b></i>", "<a href=x>", "<ul><li>", "<table><tr><td>", "<b><o:x>", "<svg>"])
def test_what_is_nested_too_deeply_is_refused(piece):
    with pytest.raises(ValueError, match="within one another"):
        to_text(piece * 200)


# what stands between two letters, up to the limit of a text. It would take minutes if it were tried from each place.
RUNS = [
    " ",
    "\t",
    " \t",
    "\x0c ",
    "&#32;",
    "<!--",
    "<!-- -",
    "<a ",
    "<a b='",
    "<a b=\" c='",
    "<a b=c ",
    " b",
    "=' c=",
    "<?xml ",
]


@each_row("run", RUNS)
def test_a_long_run_of_the_same_is_read_at_once(adapter, given, run):
    for before in ("<p>a", "<p>a<b", "<p>a<b c='"):
        text = before + run * (99_900 // len(run)) + "b</p>"
        entity = adapter.write("Update", properties={"Id": str(given.pk), "Description": text})
        assert entity["meta"]["completion_status"] == "OK"
        given.refresh_from_db()
        assert given.description.startswith("a")
