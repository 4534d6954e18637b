"""Parses the configuration file into validated entries. Uses no database.

Every error names its place in the file by a path, such as `groups[1].external_system`. All errors are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.settings import api_settings

from integrations.yaml_values import JsonValuesLoader

from .configuration_entries import NAMES, SECRETS, ConfigurationSerializer

# How many values aliases may stand for in one file.
MOST_REPEATED = 10_000
VARIABLE = re.compile(r"\$(\$\{|\{([A-Za-z_][A-Za-z0-9_]*)\})")


class ConfigurationError(Exception):
    """The file cannot be used. Nothing was changed. The text has a line for each error, with its path."""

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__("\n".join(f"{path}: {message}" if path else message for path, message in faults))


@dataclass(frozen=True)
class Entry:
    """One item of a list in the file, with its path, its name and the values that it gives.

    `values` lacks the keys that the file does not name: those stay as they are.
    """

    path: str
    name: str
    values: Mapping[str, object]

    def at(self, key: str) -> str:
        """The path of the value of this key; for "" the path of the entry itself."""
        return f"{self.path}.{key}" if key else self.path

    def error(self, key: str, message: str) -> ConfigurationError:
        return ConfigurationError((self.at(key), message))


@dataclass(frozen=True)
class Configuration:
    external_systems: list[Entry] = field(default_factory=list)
    groups: list[Entry] = field(default_factory=list)
    users: list[Entry] = field(default_factory=list)


def read(text: str, environment: Mapping[str, str]) -> Configuration:
    """Parses the file's text. `${NAME}` in a secret is replaced from `environment`. Raises ConfigurationError."""
    content = parse(text)
    if content is None:
        return Configuration()
    filling = _Filling(environment)
    content = filling.filled_in(content)
    if filling.faults:
        raise ConfigurationError(*filling.faults)
    try:
        sections = ConfigurationSerializer().run_validation(content)
    except ValidationError as error:
        raise ConfigurationError(*_faults(error.detail)) from error
    return Configuration(**{section: _entries(section, items or []) for section, items in sections.items()})


def escape(text: str) -> str:
    """Escapes `${`, so that `read()` returns the text unchanged."""
    return text.replace("${", "$${")


# --- From text to values ---


class _Loader(JsonValuesLoader):
    """Refuses a duplicate key. The plain loader would silently use the last one.

    Refuses an alias too, which may refer to the value that contains it, except within a connection's document, where
    steps are repeated by aliases.
    """

    _connections = 0  # how many connections' documents contain the node that is being composed
    _repeated = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            return self._alias(parent, index)
        is_connection = isinstance(index, yaml.ScalarNode) and index.value == "connection"
        self._connections += is_connection
        node = super().compose_node(parent, index)
        self._connections -= is_connection
        if node is not None:
            node.is_whole = True  # type: ignore[attr-defined]
        return node

    def _alias(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        if not self._connections:
            raise yaml.constructor.ConstructorError(None, None, "an alias is not supported", mark)
        node = super().compose_node(parent, index)
        if not getattr(node, "is_whole", False):
            raise yaml.constructor.ConstructorError(None, None, "an alias refers to what contains it", mark)
        self._repeated += _size(node)
        if self._repeated > MOST_REPEATED:
            raise yaml.constructor.ConstructorError(None, None, "aliases repeat too much", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value}", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node | None) -> int:
    """How many values the node has, or MOST_REPEATED and more if there are too many."""
    count, left = 0, [node]
    while left and count <= MOST_REPEATED:
        count += 1
        found = left.pop()
        if isinstance(found, yaml.SequenceNode):
            left += found.value
        elif isinstance(found, yaml.MappingNode):
            left += [value for _, value in found.value]
    return count


def parse(text: str) -> object:
    """The values of a YAML text, strictly. Raises ConfigurationError, which quotes nothing of the text."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader  # nosec
    except yaml.MarkedYAMLError as error:
        # The error's own text is not used: it quotes the line, which may hold a secret.
        mark = error.problem_mark or error.context_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}" if mark else "The file"
        raise ConfigurationError(("", f"{where} is not valid YAML: {error.problem or error.context}.")) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigurationError(("", "The file is not valid YAML.")) from None


class _Filling:
    """Replaces `${NAME}` in secrets by the values of the environment.

    Elsewhere it is a fault: whoever may edit a file must not read the environment of the server through a description.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.faults: list[tuple[str, str]] = []

    def filled_in(self, value: object, path: str = "") -> object:
        if isinstance(value, dict):
            return {key: self.filled_in(item, _below(path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled_in(item, _below(path, index)) for index, item in enumerate(value)]
        return VARIABLE.sub(lambda match: self._value(match, path), value) if isinstance(value, str) else value

    def _value(self, match: re.Match[str], path: str) -> str:
        name = match[2]
        if name is None:
            return "${"
        above, _, key = path.rpartition(".")
        if key not in SECRETS and not above.endswith(".secrets"):
            known = ", ".join(sorted([*SECRETS, "secrets"]))
            self.faults.append((path, f"${{{name}}} is replaced in secrets only ({known}). Write $${{ for ${{ itself."))
            return ""
        if name not in self.environment:
            self.faults.append((path, f"The environment variable {name} is not set."))
        return self.environment.get(name, "")


# --- From values to entries ---


def _below(path: str, key: object) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)


def _faults(detail: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The errors of the serializers, each with its path."""
    if isinstance(detail, ErrorDetail):
        yield path, str(detail)
    elif isinstance(detail, dict):
        for key, value in detail.items():
            yield from _faults(value, path if key == api_settings.NON_FIELD_ERRORS_KEY else _below(path, key))
    elif isinstance(detail, list):
        for index, item in enumerate(detail):
            yield from _faults(item, path if isinstance(item, ErrorDetail) else _below(path, index))


def _entries(section: str, items: list[dict[str, object]]) -> list[Entry]:
    entries: dict[str, Entry] = {}
    for index, values in enumerate(items):
        path, key = f"{section}[{index}]", NAMES[section]
        name = str(values[key])
        if name in entries:
            raise ConfigurationError((path, f"{name} is already defined at {entries[name].path}."))
        entries[name] = Entry(path, name, {field: value for field, value in values.items() if field != key})
    return [*entries.values()]
