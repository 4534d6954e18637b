"""Which plain texts of a YAML file are numbers, truth values and nothing: those that JSON knows, and no others."""

from __future__ import annotations

import re

import yaml

_OTHERWISE = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}


class JsonValuesLoader(yaml.SafeLoader):
    """Interprets values as JSON would: `yes`, `1:30` and dates are texts."""


JsonValuesLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERWISE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
JsonValuesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"\A(?:true|false)\Z", re.IGNORECASE), [*"tTfF"]
)
JsonValuesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"\A-?(?:0|[1-9][0-9]*)\Z"), [*"-0123456789"]
)
JsonValuesLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"\A-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?\Z"),
    [*"-0123456789"],
)
