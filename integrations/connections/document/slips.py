"""What is wrong with a text that is no YAML, in plain words: the usual slips of a person."""

from __future__ import annotations

import re

import yaml

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_TEMPLATE = re.compile(r"\{\{|\{%")
# A key and its value on one line: the value.
_VALUE = re.compile(r"\s*(?:-\s+)?[\w .-]+:\s+(\S.*?)\s*")
_BEGINS = re.compile(r"found character '(.+)' that cannot start any token")
_ALIAS = re.compile(r"found undefined alias '(.+)'")
_ESCAPE = re.compile(r"found unknown escape character '(.+)'")
_NO_YAML = "Not valid YAML:"
_SAME_COLUMN = "The lines of one mapping begin in the same column."


def in_quotes(template: str) -> str:
    """The advice for a template that stands without quotes, which YAML takes for a mapping."""
    text = " ".join(template.split())
    quote = "'" if '"' in text else '"'
    if not text or len(text) > 100 or quote in text:
        return 'Put the template in quotes, as in "{{ item.text }}".'
    return f"Put the template in quotes: {quote}{text}{quote}."


def explained(text: str, error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Where the slip is, as an index of the text, and what it is."""
    mark = error.problem_mark or error.context_mark
    index, problem = mark.index if mark else 0, str(error.problem or error.context)
    begin = text.rfind("\n", 0, index) + 1
    line = text[begin:].partition("\n")[0]
    if advice := _of_a_template(line):
        return index, advice
    if problem == "found unexpected end of stream" and error.context_mark:
        return error.context_mark.index, f"{_NO_YAML} the quote that begins here has no end."
    return index, f"{_NO_YAML} {_of_a_character(problem) or _of_structure(problem, line, text[:begin], error)}"


def _of_a_character(problem: str) -> str:
    if "\\t" in problem and "cannot start" in problem:
        return "indent with spaces, not with a tab."
    if found := _BEGINS.fullmatch(problem):
        return f"a text that begins with {found[1]} stands in quotes."
    if found := _ALIAS.fullmatch(problem):
        return f"*{found[1]} repeats what is marked &{found[1]} further up, and nothing is."
    if found := _ESCAPE.fullmatch(problem):
        return f"\\{found[1]} means nothing in double quotes. Write \\\\ for a backslash, or use single quotes."
    return ""


def _of_a_template(line: str) -> str:
    """The advice, if a template stands in this line without quotes."""
    bare = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), line)
    if not _TEMPLATE.search(bare.partition(" #")[0]):
        return ""
    value = _VALUE.fullmatch(line)
    if value and (_TEMPLATE.match(value[1]) or value[1][0] not in "{[\"'|>&*!"):
        return in_quotes(value[1])
    return in_quotes("")


def _of_structure(problem: str, line: str, above: str, error: yaml.MarkedYAMLError) -> str:
    if "expected <block end>" in problem:
        return f"this line is indented differently from those above it. {_SAME_COLUMN}"
    if problem == "mapping values are not allowed here":
        before = next((one for one in reversed(above.splitlines()) if one.strip()), "")
        if _indent(line) > _indent(before) and before.strip()[-1:] != ":":
            return f"this line is indented more than the one above it, which has its value already. {_SAME_COLUMN}"
        return "a text with a colon and a space in it stands in quotes."
    if problem == "could not find expected ':'":
        return "the line above has no colon with a space behind it, as in key: value."
    if problem.startswith(("expected ',' or '}'", "expected ',' or ']'")) and error.context_mark:
        bracket = problem[len("expected ',' or '")]
        return f"here a comma is missing, or {bracket} for the list or mapping of line {error.context_mark.line + 1}."
    return f"{problem}."


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
