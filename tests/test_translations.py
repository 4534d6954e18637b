"""The pages are English and German, both whole: each text of the sources has its German one, compiled."""

import gettext
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from django.template.base import Lexer, TokenType

from .exchange import ROOT

pytestmark = pytest.mark.any_database

CATALOG = ROOT / "locale/de/LC_MESSAGES"
SOURCES = ("casexchange", "changes", "integrations", "templates", "locale")


def catalog(po, tmp_path, *options):
    """The texts of a .po file as the product reads them."""
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


# --- No text of a template is left out ---

# What is a name, a sign or a term of the contract, and so the same in both languages.
SAME = {"casexchange", "UTC", "Ctrl", "Enter", "MiB", "SHA-256", "ID", "CSV", "POST", "GET", "API", "REST"}


class _Texts(HTMLParser):
    """Collects what a person reads in a piece of HTML: texts, and attributes that are read out or shown."""

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
    parser.feed("\x00".join(kept))
    words = {word for text in parser.found for word in re.findall(r"[A-Za-zÀ-ž][\w'’-]+", text)}
    return sorted(words - SAME)


TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_no_text_of_a_template_is_left_out_of_the_catalog(template):
    assert untranslated(template.read_text()) == []
