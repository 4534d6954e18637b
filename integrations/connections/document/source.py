"""A document as YAML nodes that know their places: read strictly, with every fault at its line and column."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import yaml

from integrations.yaml_values import JsonValuesLoader

from ..templating.faults import Fault
from .checks import Found
from .slips import explained, in_quotes

LARGEST = 256 * 1024
DEEPEST = 30
# Aliases may repeat a node. So many nodes are read, repeated ones included.
MOST_NODES = 20_000
# The characters of all scalars, those that aliases repeat included.
MOST_TEXT = 1024 * 1024
MOST_FAULTS = 200
_TOO_MANY = f"has more than {MOST_NODES} values"
_MERGE = "tag:yaml.org,2002:merge"
Constant = str | int | float | bool | None
# Of each kind: the keys that it may have, and those that it must have.
Kinds = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


class TooLarge(Exception):  # noqa: N818
    """Reading ends here: the fault is recorded already."""


class _Loader(JsonValuesLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._count += 1
        if self._depth > DEEPEST or self._count > MOST_NODES:
            limit = f"is nested more than {DEEPEST} levels deep" if self._depth > DEEPEST else _TOO_MANY
            raise yaml.composer.ComposerError(None, None, f"it {limit}", self.peek_event().start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


@dataclass(frozen=True)
class Entry:
    key: yaml.ScalarNode
    value: yaml.Node


class Source:
    """The text of a document, and the faults that were found in it so far."""

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self.faults: list[Fault] = []
        self._left = MOST_NODES
        self._room = MOST_TEXT
        # Where lines begin: behind what YAML takes for line ends.
        self._lines = [0, *(end.end() for end in re.finditer(r"\r\n|[\r\n\x85\u2028\u2029]", self.text))]

    def root(self) -> yaml.Node | None:
        """The composed document; None if there is none, with a fault that says why."""
        if len(self.text.encode(errors="replace")) > LARGEST:
            self._unreadable(0, f"The document has more than {LARGEST // 1024} KiB.")
            return None
        try:
            node = yaml.compose(self.text, _Loader)
        except yaml.MarkedYAMLError as error:
            self._unreadable(*explained(self.text, error))
            return None
        except yaml.reader.ReaderError as error:
            self._unreadable(error.position, "Not valid YAML: a character that may not stand here.")
            return None
        except (ValueError, RecursionError):
            self._unreadable(0, "Not valid YAML.")
            return None
        if node is None:
            self._unreadable(0, "The document is empty.")
            return None
        return node

    def _unreadable(self, index: int, message: str) -> None:
        self._add(index, "", message)

    def _add(self, index: int, path: str, message: str) -> None:
        line = bisect_right(self._lines, index)
        path = path.removesuffix(": ")  # that of a step as a whole
        self.faults.append(Fault(line, index - self._lines[line - 1] + 1, path, message))
        if len(self.faults) > MOST_FAULTS:
            self.faults.append(replace(self.faults.pop(), message=f"There are more than {MOST_FAULTS} faults."))
            raise TooLarge

    def fault(self, node: yaml.Node, path: str, message: str) -> None:
        self._add(node.start_mark.index, path, message)

    def fault_in_text(self, node: yaml.Node, path: str, text: str, found: Found) -> None:
        """A fault within a scalar, whose value is `text`: at the same occurrence of the same word in the document."""
        start = node.start_mark.index
        raw = self.text[start : node.end_mark.index]
        pattern = rf"(?<!\w){re.escape(found.word)}(?!\w)" if found.word.isidentifier() else re.escape(found.word)
        earlier = sum(1 for one in re.finditer(pattern, text) if one.start() < found.offset) if found.word else 0
        places = [one.start() for one in re.finditer(pattern, raw)] if found.word else []
        self._add(start + places[earlier] if earlier < len(places) else start, path, found.message)

    # --- Nodes ---

    def _visit(self, node: yaml.Node, path: str) -> None:
        self._left -= 1
        if self._left < 0:
            self.fault(node, path, f"The document {_TOO_MANY}, those that aliases repeat included.")
            raise TooLarge
        if isinstance(node, yaml.ScalarNode):
            self._room -= len(node.value)
        if self._room < 0:
            self.fault(node, path, "The document has more than 1 MiB of text, that which aliases repeat included.")
            raise TooLarge

    def _is_template(self, node: yaml.Node, path: str) -> bool:
        """Whether the node is a template without quotes, which YAML takes for a mapping. The fault is recorded."""
        text = self.text[node.start_mark.index : node.end_mark.index]
        if not (isinstance(node, yaml.MappingNode) and text.startswith("{{")):
            return False
        self.fault(node, path, in_quotes(text))
        return True

    def entries(self, node: yaml.Node, path: str, depth: int = 0) -> dict[str, Entry]:
        """The keys of a mapping. `<<` adds the keys of others that it does not name itself."""
        self._visit(node, path)
        if self._is_template(node, path):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, path, "Write a mapping here, as in key: value.")
            return {}
        own: dict[str, Entry] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.fault(key, path, "A key is a text.")
            elif key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            elif key.value in own:
                self.fault(key, path, f"The key {key.value} stands here twice.")
            else:
                own[self._utf8(key, path)] = Entry(key, value)
        if merged and depth > DEEPEST:
            self.fault(node, path, f"This is nested more than {DEEPEST} levels deep.")
            return own
        for other in merged:
            own = {**self.entries(other, path, depth + 1), **own}
        return own

    def _utf8(self, node: yaml.ScalarNode, path: str) -> str:
        """The text. YAML can escape half of a surrogate pair, which nothing else can write."""
        text = str(node.value)
        if text.isascii() or text == text.encode(errors="replace").decode():
            return text
        self.fault(node, path, "This text has a character that cannot be written in UTF-8.")
        return ""

    def items(self, node: yaml.Node, path: str) -> list[yaml.Node]:
        self._visit(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [*node.value]
        self.fault(node, path, "Write a list here, as in - one.")
        return []

    def constant(self, node: yaml.Node, path: str) -> Constant:
        """A scalar as JSON knows it."""
        self._visit(node, path)
        if not isinstance(node, yaml.ScalarNode):
            if not self._is_template(node, path):
                self.fault(node, path, "Write a single value here.")
            return None
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return self._utf8(node, path)
        if kind == "null":
            return None
        try:
            if kind == "bool":
                return bool(node.value.lower() == "true")
            if kind == "int":
                return int(node.value)
            if kind == "float":
                return float(node.value)
        except ValueError:
            self.fault(node, path, "This number cannot be read.")
            return None
        self.fault(node, path, f"The tag {node.tag} is not available.")
        return None


def below(path: str, key: str) -> str:
    """The path of a key: `poll.every`, or within a step `outgoing.Assign[1] create: json.Subject`."""
    if not path or path.endswith(": "):
        return f"{path}{key}"
    return f"{path}.{key}"


class Section:
    """A mapping of the document with keys that are known beforehand."""

    def __init__(self, source: Source, node: yaml.Node, path: str, known: Iterable[str]) -> None:
        self.source, self.root, self.path = source, node, path
        self.entries = source.entries(node, path)
        known = [*known]
        for name, entry in self.entries.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
                source.fault(entry.key, self.at(name), f"There is no key {name}. {hint}")

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def at(self, key: str) -> str:
        return below(self.path, key)

    def node(self, key: str) -> yaml.Node:
        return self.entries[key].value

    def fault(self, key: str, message: str) -> None:
        """A fault of a value, or of the mapping as a whole if it has no such key."""
        entry = self.entries.get(key)
        self.source.fault(entry.value if entry else self.root, self.at(key) if key else self.path, message)

    def needs(self, *keys: str) -> bool:
        missing = [key for key in keys if key not in self.entries]
        for key in missing:
            self.source.fault(self.root, self.path, f"The key {key} is missing.")
        return not missing

    def one_of(self, keys: Collection[str], what: str, is_needed: bool = True) -> str | None:
        """The one key of these that is there."""
        found = [key for key in self.entries if key in keys]
        if len(found) > 1:
            self.source.fault(
                self.entries[found[1]].key, self.at(found[1]), f"Give one {what}: {found[0]} or {found[1]}."
            )
        elif not found and is_needed:
            self.source.fault(self.root, self.path, f"Give one {what}: {', '.join(keys)}.")
        return found[0] if found else None

    def text(self, key: str, default: str = "") -> str:
        if key not in self.entries:
            return default
        value = self.source.constant(self.node(key), self.at(key))
        if isinstance(value, str) and value:
            return value
        if value is not None or isinstance(self.node(key), yaml.ScalarNode):
            self.fault(key, "Write a text here.")
        return default

    def choice(self, key: str, options: Collection[str], default: str = "") -> str:
        value = self.text(key, default)
        if key in self.entries and value and value not in options:
            self.fault(key, f"Write one of {', '.join(options)}.")
            return default
        return value

    def number(self, key: str, least: int, most: int) -> int | None:
        if key not in self.entries:
            return None
        value = self.source.constant(self.node(key), self.at(key))
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(key, f"Write a number from {least} to {most}.")
        return None

    def flag(self, key: str, default: bool) -> bool:
        if key not in self.entries:
            return default
        value = self.source.constant(self.node(key), self.at(key))
        if isinstance(value, bool):
            return value
        self.fault(key, "Write true or false.")
        return default

    def statuses(self, key: str) -> frozenset[int] | None:
        """HTTP statuses: one, or a list of them."""
        if key not in self.entries:
            return None
        node = self.node(key)
        nodes = self.source.items(node, self.at(key)) if isinstance(node, yaml.SequenceNode) else [node]
        found = set()
        for one in nodes:
            value = self.source.constant(one, self.at(key))
            if isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599:
                found.add(value)
            else:
                self.source.fault(one, self.at(key), "Write HTTP statuses, as in [200, 201].")
        return frozenset(found)

    def mapping(self, key: str) -> Mapping[str, Entry]:
        return self.source.entries(self.node(key), self.at(key)) if key in self.entries else {}


def section_of_kind(source: Source, node: yaml.Node, path: str, kinds: Kinds) -> tuple[Section, str]:
    """A mapping with `kind`, or the kind alone, and the kind: "" if it is unknown or lacks a key, with its faults."""
    if not isinstance(node, yaml.MappingNode):
        named = yaml.ScalarNode("tag:yaml.org,2002:str", "kind", node.start_mark, node.end_mark)
        node = yaml.MappingNode("tag:yaml.org,2002:map", [(named, node)], node.start_mark, node.end_mark)
    known = dict.fromkeys(key for optional, needed in kinds.values() for key in (*needed, *optional))
    section = Section(source, node, path, ("kind", *known))
    section.needs("kind")
    kind = section.choice("kind", [*kinds])
    if not kind:
        return section, ""
    optional, needed = kinds[kind]
    for key, entry in section.entries.items():
        if key in known and key not in (*optional, *needed):
            source.fault(entry.key, section.at(key), f"{kind} has no {key}.")
    return section, kind if section.needs(*needed) else ""
