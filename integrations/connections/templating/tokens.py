"""Where things stand in a template. minijinja parses it; this finds the places that it does not tell.

Only for templates that minijinja accepts, so nothing here checks the syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"\{\{|\{%|\{#")
_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<name>[^\W\d]\w*)|(?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<end>[-+]?(?:\}\}|%\}))|(?P<mark>\*\*|//|[=!<>]=|\S)""",
    re.VERBOSE | re.DOTALL,
)
_END_OF_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_WORDS = {"and", "or", "not", "in", "is", "if", "else"}


@dataclass(frozen=True)
class Token:
    """`kind`: text, name, number or mark. `offset` counts characters of the template."""

    kind: str
    text: str
    offset: int

    @property
    def value(self) -> str:
        """Of a text: what stands between its quotes."""
        return self.text[1:-1]


@dataclass(frozen=True)
class Block:
    """One `{{ … }}` or, with `is_statement`, one `{% … %}`. `start` and `end` count characters of the template."""

    is_statement: bool
    tokens: tuple[Token, ...]
    start: int
    end: int


def is_template(text: str) -> bool:
    return _OPENING.search(text) is not None


def blocks_of(template: str) -> Iterator[Block]:
    place = 0
    while opening := _OPENING.search(template, place):
        if opening[0] == "{#":
            place = template.find("#}", opening.end()) + 2
            if place < 2:
                return
            continue
        block = _block(template, opening)
        yield block
        place = block.end
        if block.is_statement and block.tokens and block.tokens[0].text == "raw":
            ending = _END_OF_RAW.search(template, place)
            if ending is None:
                return
            place = ending.end()


def _block(template: str, opening: re.Match[str]) -> Block:
    tokens: list[Token] = []
    place, depth = opening.end(), 0
    if template[place : place + 1] in ("-", "+"):
        place += 1
    closing = "}}" if opening[0] == "{{" else "%}"
    while found := _TOKEN.search(template, place):
        kind, text, place = found.lastgroup or "", found[0], found.end()
        if kind == "end" and text.endswith(closing) and not depth:
            return Block(closing == "%}", tuple(tokens), opening.start(), place)
        if kind == "end":  # the end of a mapping within a mapping, or of one before the end of a statement
            kind, text, place = "mark", text[0], found.start() + 1
        depth += (text == "{") - (text == "}")
        tokens.append(Token(kind, text, found.start()))
    return Block(closing == "%}", tuple(tokens), opening.start(), len(template))


def is_one_expression(template: str) -> bool:
    """Whether the text is one `{{ expression }}` and nothing else, apart from white space around it."""
    blocks = [*blocks_of(template)]
    if len(blocks) != 1 or blocks[0].is_statement or "{#" in template:
        return False
    return not template[: blocks[0].start].strip() and not template[blocks[0].end :].strip()


_NONE = Token("", "", 0)
_CONSTANTS = {"true", "false", "none", "True", "False", "None"}


@dataclass(frozen=True)
class Use:
    """A token among those of its block."""

    tokens: tuple[Token, ...]
    place: int

    def at(self, distance: int) -> Token:
        """A neighbour: -1 is the token before this one. Empty where there is none."""
        place = self.place + distance
        return self.tokens[place] if 0 <= place < len(self.tokens) else _NONE

    def texts(self, *distances: int) -> list[str]:
        return [self.at(distance).text for distance in distances]

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    @property
    def is_filter(self) -> bool:
        return self.token.kind == "name" and self.at(-1).text == "|"

    @property
    def is_attribute(self) -> bool:
        return self.token.kind == "name" and self.at(-1).text == "."

    @property
    def is_test(self) -> bool:
        if self.token.kind != "name" or self.token.text == "not":
            return False
        return self.at(-1).text == "is" or self.texts(-2, -1) == ["is", "not"]

    @property
    def is_name(self) -> bool:
        """Whether this is a variable or a function, and no word of the language."""
        if self.token.kind != "name" or self.token.text in _WORDS:
            return False
        is_argument = self.at(1).text == "=" and self.at(-1).text in ("(", ",")
        return not (self.is_filter or self.is_attribute or self.is_test or is_argument)

    @property
    def follows_value(self) -> bool:
        """Whether something stands before it that a call or a subscript may refer to."""
        before = self.at(-1)
        if before.kind == "name":
            return before.text not in _WORDS
        return before.kind in ("text", "number") or before.text in ("]", ")", "}")

    @property
    def is_call_of_value(self) -> bool:
        """Whether this bracket calls what a value or an attribute is, not a function, filter or test by its name."""
        if self.at(-1).kind == "name":
            return self.at(-2).text == "."
        return self.follows_value

    @property
    def has_name_within(self) -> bool:
        """Whether anything but constants stands between this bracket and its end."""
        depth = 0
        for token in self.tokens[self.place :]:
            depth += (token.text in ("[", "{", "(")) - (token.text in ("]", "}", ")"))
            if token.kind == "name" and token.text not in _CONSTANTS:
                return True
            if not depth:
                return False
        return False

    @property
    def multiplies_numbers(self) -> bool:
        is_number = self.at(-1).kind == "number" or self.texts(-2, -1) in (["|", "int"], ["|", "float"])
        return is_number and self.at(1).kind == "number"


def uses_of(block: Block) -> Iterator[Use]:
    tokens = block.tokens[1:] if block.is_statement else block.tokens
    return (Use(tokens, place) for place in range(len(tokens)))
