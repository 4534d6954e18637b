"""The configuration file: from its text to checked entries. Touches no database.

Every error names the place in the file by its path, such as `groups[1].external_system`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from django.core.exceptions import ValidationError

from changes.texts.lines import as_line
from changes.validators import validate_identifier

VARIABLE = re.compile(r"\$(\$\{|\{([A-Za-z_][A-Za-z0-9_]*)\})")


class ConfigurationError(Exception):
    """The file cannot be used; nothing was changed."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}" if path else message)


@dataclass(frozen=True)
class Entry:
    """One item of a list, its place in the file, and the values that it gives. What it does not name stays."""

    path: str
    name: str
    values: Mapping[str, Any]

    def error(self, key: str, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path}.{key}" if key else self.path, message)


@dataclass(frozen=True)
class Configuration:
    external_systems: list[Entry] = field(default_factory=list)
    groups: list[Entry] = field(default_factory=list)
    users: list[Entry] = field(default_factory=list)


_TEXT, _SWITCH = "a text", "true or false"
_NUMBER, _OPTIONAL_NUMBER = "a whole number", "a whole number or null"
_LINE, _IDENTIFIER, _USERNAME, _OPTIONAL_IDENTIFIER = "a line of text", "an id", "a user name", "an id or null"
_LINES, _USERNAMES = "a list of texts", "a list of user names"
# What is said where something else stands.
_SAID = {
    **dict.fromkeys((_LINE, _IDENTIFIER, _USERNAME), _TEXT),
    **dict.fromkeys((_LINES, _USERNAMES), "a list of texts"),
    _OPTIONAL_IDENTIFIER: "a text or null",
}
# What each item of a list is.
_ITEMS = {_LINES: _LINE, _USERNAMES: _USERNAME}
# The first key of each names the entry.
_KEYS = {
    "external_systems": {
        "system_id": _IDENTIFIER,
        "description": _LINE,
        "authorized_user": _USERNAME,
        "delivery": _TEXT,
        "endpoint_url": _TEXT,
        "signing_secret": _TEXT,
        "max_in_flight": _NUMBER,
        "rate_limit": _OPTIONAL_NUMBER,
        "enabled": _SWITCH,
        "sends_markdown": _SWITCH,
    },
    "groups": {"name": _LINE, "members": _USERNAMES, "external_system": _OPTIONAL_IDENTIFIER},
    "users": {"username": _USERNAME, "roles": _LINES},
}


def read(text: str, environment: Mapping[str, str]) -> Configuration:
    """Reads the file's text; `${NAME}` in a value is taken from `environment`. Raises ConfigurationError."""
    content = _parse(text)
    if content is None:
        return Configuration()
    if not isinstance(content, dict):
        raise ConfigurationError("", f"Write the keys {', '.join(_KEYS)}, each with a list.")
    _refuse_unknown(content, _KEYS, "")
    return Configuration(**{section: _entries(section, content[section], environment) for section in content})


def escape(text: str) -> str:
    """The text as it must stand in the file to be read as it is."""
    return text.replace("${", "$${")


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which plain YAML would silently use the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        # Not the error's own text: that quotes the line, which may hold a secret.
        mark = error.problem_mark or error.context_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}" if mark else "The file"
        raise ConfigurationError("", f"{where} is no valid YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigurationError("", "The file is no valid YAML.") from None


def _entries(section: str, items: Any, environment: Mapping[str, str]) -> list[Entry]:
    if items is None:
        return []
    if not isinstance(items, list):
        raise ConfigurationError(section, "Write a list.")
    entries: dict[str, Entry] = {}
    for index, item in enumerate(items):
        entry = _entry(section, f"{section}[{index}]", item, environment)
        if entry.name in entries:
            raise ConfigurationError(entry.path, f"{entry.name} is there already, as {entries[entry.name].path}.")
        entries[entry.name] = entry
    return [*entries.values()]


def _entry(section: str, path: str, item: Any, environment: Mapping[str, str]) -> Entry:
    kinds = _KEYS[section]
    if not isinstance(item, dict):
        raise ConfigurationError(path, f"Write keys and values: {', '.join(kinds)}.")
    _refuse_unknown(item, kinds, f"{path}.")
    values = {key: _value(f"{path}.{key}", value, kinds[key], environment) for key, value in item.items()}
    name_key = next(iter(kinds))
    name = values.pop(name_key, "")
    if not name:
        raise ConfigurationError(f"{path}.{name_key}", "This is needed.")
    return Entry(path, name, values)


def _refuse_unknown(mapping: Mapping[Any, Any], known: Mapping[str, Any], prefix: str) -> None:
    for key in mapping:
        if key not in known:
            raise ConfigurationError(f"{prefix}{key}", f"This key is not known. Known: {', '.join(known)}.")


def _value(path: str, value: Any, kind: str, environment: Mapping[str, str]) -> Any:
    if kind in _ITEMS:
        if not isinstance(value, list):
            raise ConfigurationError(path, f"Write {_SAID.get(kind, kind)}.")
        texts = [_value(f"{path}[{index}]", item, _ITEMS[kind], environment) for index, item in enumerate(value)]
        return list(dict.fromkeys(texts))
    if kind == _SWITCH:
        if not isinstance(value, bool):
            raise ConfigurationError(path, f"Write {_SAID.get(kind, kind)}.")
        return value
    if value is None and kind in (_OPTIONAL_IDENTIFIER, _OPTIONAL_NUMBER):
        return None
    if kind in (_NUMBER, _OPTIONAL_NUMBER):
        # To Python, true is a number too.
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigurationError(path, f"Write {_SAID.get(kind, kind)}.")
        return value
    if not isinstance(value, str):
        raise ConfigurationError(path, f"Write {_SAID.get(kind, kind)}; put it in quotes if it is one.")
    return _tidy(path, _filled_in(path, value, environment), kind)


def _tidy(path: str, text: str, kind: str) -> str:
    """Names as the administration takes them: of lines and of users the edges go, identifiers are not altered."""
    if kind == _LINE:
        return as_line(text)
    if kind in (_USERNAME, _IDENTIFIER, _OPTIONAL_IDENTIFIER):
        text = unicodedata.normalize("NFKC", text.strip()) if kind == _USERNAME else text
        try:
            validate_identifier(text)
        except ValidationError as error:
            raise ConfigurationError(path, " ".join(error.messages)) from error
    return text


def _filled_in(path: str, text: str, environment: Mapping[str, str]) -> str:
    def replacement(match: re.Match[str]) -> str:
        name = match[2]
        if name is None:
            return "${"
        if name not in environment:
            raise ConfigurationError(path, f"The environment has no {name}.")
        return environment[name]

    return VARIABLE.sub(replacement, text)
