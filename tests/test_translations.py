"""The pages are complete in English and German: each text of the sources has a compiled German translation."""

import ast
import gettext
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from django.template.base import Lexer, TokenType

from .exchange import ROOT

CATALOG = ROOT / "locale/de/LC_MESSAGES"
SOURCES = ("casexchange", "changes", "integrations", "templates", "locale")


def catalog(po, tmp_path, *options):
    """The compiled texts of a .po file, as gettext reads them."""
    mo = tmp_path / f"{po.parent.name}-{len([*tmp_path.iterdir()])}.mo"
    subprocess.run(["msgfmt", "--check-format", *options, "-o", mo, po], check=True, capture_output=True, text=True)
    with mo.open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """The catalog as `make messages` would write it now, from a copy of the sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.pyc", "static"))
    shutil.copy(ROOT / "manage.py", copy)
    recipe = re.search(r"manage\.py (makemessages .*?)\n\t", (ROOT / "Makefile").read_text().replace("\\\n", " "))
    arguments = [word.strip("'") for word in recipe[1].split()]
    environment = {"DEBUG": "1", "VAR_DIR": str(copy / "var"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return copy / "locale/de/LC_MESSAGES/django.po"


def test_every_text_of_the_sources_has_its_german_one(collected):
    for option, what in (("--untranslated", "untranslated"), ("--only-fuzzy", "to be checked")):
        found = subprocess.run(
            ["msgattrib", option, "--no-obsolete", collected], check=True, capture_output=True, text=True
        )
        texts = re.findall(r'^msgid "(.+)"$', found.stdout, re.MULTILINE)
        assert not texts, f"{len(texts)} texts are {what}: run `make messages` and mend locale/de: {texts[:20]}"


def test_the_catalog_has_no_text_that_the_sources_have_not(collected, tmp_path):
    stored = {*catalog(CATALOG / "django.po", tmp_path)}
    assert stored - {*catalog(collected, tmp_path)} == set()


def test_what_is_compiled_is_what_was_written(tmp_path):
    written = catalog(CATALOG / "django.po", tmp_path)
    with (CATALOG / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    written.pop(""), compiled.pop("")
    assert compiled == written, "run `make messages`"


# --- All texts of templates are translated ---

# Names, signs and terms of the contract, which are the same in both languages.
SAME = {"casexchange", "UTC", "Ctrl", "Enter", "MiB", "SHA-256", "ID", "CSV", "POST", "GET", "API", "REST"}


class _Texts(HTMLParser):
    """Collects the visible texts of HTML, and the attributes that are read out or shown."""

    READ = ("title", "aria-label", "placeholder", "alt", "data-label")

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in self.READ and value]

    def handle_data(self, data):
        self.found.append(data)


def untranslated(source):
    """The words of a template outside {% translate %} and {% blocktranslate %}."""
    kept, is_inside = [], False
    for token in Lexer(source).tokenize():
        if token.token_type == TokenType.BLOCK:
            word = token.contents.split()[0]
            if word in ("blocktranslate", "comment"):
                is_inside = True
            elif word in ("endblocktranslate", "endcomment"):
                is_inside = False
        elif token.token_type == TokenType.TEXT and not is_inside:
            kept.append(token.contents)
    parser = _Texts()
    parser.feed("".join(kept))
    words = {word for text in parser.found for word in re.findall(r"[A-Za-zÀ-ž][\w'’-]+", text)}
    return sorted(words - SAME)


TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*.html"))


def test_no_text_of_a_template_is_left_out_of_the_catalog():
    found = {str(template.relative_to(ROOT)): untranslated(template.read_text()) for template in TEMPLATES}
    assert found
    assert {name: words for name, words in found.items() if words} == {}


# --- All texts of the code that pages show are translated ---

# Texts for partners' programs and for the command line are English.
ENGLISH = ("api", "incoming", "simulator", "demo", "local", "management", "transports", "migrations", "volume")
SHOWN = {
    # name of the call: the positions of the arguments that pages show
    **{key: {1} for key in ("success", "error", "info", "warning")},
    **{key: {0} for key in ("PermissionDenied", "Http404", "ValidationError")},
    "State": {1, 2},
}
OPTIONS = {
    "label",
    "help_text",
    "empty_label",
    "null_label",
    "verbose_name",
    "verbose_name_plural",
    "short_description",
}


def is_plain(node):
    """Whether this is a text with words that is not passed to gettext."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.Constant) and re.search(r"[A-Za-z]{2}", part.value) for part in node.values)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(re.search("[A-Za-z]{2}", node.value))


def plain_texts(module):
    """`line: text` for each text that pages show without gettext."""
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if isinstance(node.func, ast.Attribute) and name in ("error", "info", "warning", "success"):
            is_shown = isinstance(node.func.value, ast.Name) and node.func.value.id == "messages"
        else:
            is_shown = name in SHOWN
        texts = [node.args[place] for place in SHOWN.get(name, ()) if is_shown and place < len(node.args)]
        texts += [keyword.value for keyword in node.keywords if keyword.arg in OPTIONS]
        yield from (f"{text.lineno}: {ast.unparse(text)}" for text in texts if is_plain(text))


MODULES = sorted(
    path
    for app in ("changes", "integrations")
    for path in (ROOT / app).rglob("*.py")
    if not {*path.relative_to(ROOT).parts} & {*ENGLISH}
)


def test_no_text_of_the_code_is_left_out_of_the_catalog():
    found = {str(module.relative_to(ROOT)): [*plain_texts(module)] for module in MODULES}
    assert found
    assert {name: texts for name, texts in found.items() if texts} == {}
