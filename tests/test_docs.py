"""What the documentation names exists: files, places in files, and tests."""

import re
import tomllib
from pathlib import Path

import pytest

import casexchange

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    missing = []
    for link in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text()):
        path, anchor = link
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor[1:] not in anchors(target)):
            missing.append(path + anchor)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_it_names_exist(page):
    named = set(re.findall(r"`(tests/[\w/.]+)`", page.read_text()))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_newest_version_of_the_change_log_is_that_of_the_code():
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert newest == casexchange.__version__ == project["version"]
