"""Templates: minijinja, bounded in work and size, without access to Python or to anything but the names it is given."""

from __future__ import annotations

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from minijinja import Environment, TemplateError

from .faults import EvaluationFailed, SecretMissing
from .filters import OURS, table_filter
from .tokens import is_one_expression
from .values import LARGEST_TEXT, OMIT, Unusable, as_text, plain, size_of

# The work of one template, in minijinja's units: enough for a loop over the lines of a text of 100,000 characters.
FUEL = 50_000
# What all templates of one call, or of what becomes of one answer, may do together: each alone is bounded, but a
# document may have thousands.
MOST_SECONDS = 0.5  # of this thread's work, however busy the machine is
LARGEST_TOGETHER = 8 * LARGEST_TEXT
Names = Mapping[str, object]

# What of minijinja may be used. The rest is left out because it repeats a filter of ours, or reaches something that
# its bound on work does not cover: see docs/connections.md.
FILTERS = frozenset(
    {
        *("abs", "bool", "capitalize", "count", "d", "default", "dictsort", "first", "float", "indent", "int", "items"),
        *("join", "last", "length", "lines", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace"),
        *("reverse", "round", "select", "selectattr", "sort", "split", "string", "sum", "title", "trim"),
        *("upper", "urlencode", "table", *OURS),
    }
)
TESTS = frozenset(
    {
        *("boolean", "defined", "divisibleby", "even", "false", "float", "integer", "iterable", "lower", "mapping"),
        *("none", "number", "odd", "sequence", "string", "true", "undefined", "upper"),
    }
)
FUNCTIONS = frozenset({"range"})
_ONE_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)
# Filters that |map, which takes the name of a filter, would reach otherwise.
_MISSING_SECRET = re.compile(r"`secret\.(\w+)` is undefined")
_REMOVED_FILTERS = ("batch", "chain", "groupby", "pprint", "random", "safe", "slice", "unique", "zip")
_GLOBALS_OF_MINIJINJA = ("debug", "dict", "namespace", "cycler", "joiner", "randrange", "lipsum", "now")


class _Rendering(threading.local):
    """What the template that this thread renders has given, and how much more may be read and written."""

    value: object = None
    room: int = LARGEST_TEXT
    read: int = LARGEST_TEXT
    is_bounded: bool = False
    seconds: float = 0.0
    together: int = 0


_rendering = _Rendering()


@contextmanager
def bounded_together() -> Iterator[None]:
    """Bounds what the templates that are evaluated within do together. The outermost one counts."""
    if _rendering.is_bounded:
        yield
        return
    _rendering.is_bounded, _rendering.seconds, _rendering.together = True, 0.0, 0
    try:
        yield
    finally:
        _rendering.is_bounded = False


def _count(value: object, seconds: float) -> None:
    _rendering.seconds += seconds
    _rendering.together += size_of(value)
    if _rendering.is_bounded and _rendering.seconds > MOST_SECONDS:
        raise Unusable("the templates do too much work together")
    if _rendering.is_bounded and _rendering.together > LARGEST_TOGETHER:
        raise Unusable("the templates give more than 8 MiB together")


def _keep(value: object) -> str:
    _rendering.value = value
    return ""


def _written(value: object) -> str:
    if value is OMIT:
        raise Unusable("omit leaves out a whole value, and cannot be part of a text")
    return _within_room(as_text(value) or "")


def _encoded(value: object) -> str:
    if value is OMIT or isinstance(value, bool):
        raise Unusable("a value in a path is a text or a number")
    text = as_text(value)
    if not text:
        raise Unusable("a value in a path is empty")
    return _within_room(quote(text, safe=""))


def _within_room(text: str) -> str:
    _rendering.room -= len(text)
    if _rendering.room < 0:
        raise Unusable("the result is longer than 1 MiB")
    return text


def _bounded(function: Callable[..., object]) -> Callable[..., object]:
    """minijinja's bound on work does not see what a filter in Python does, so this one bounds what they read."""

    def filter(value: object, *arguments: object, **named: object) -> object:
        _rendering.read -= len(value) + 100 if isinstance(value, str) else 100
        if _rendering.read < 0:
            raise Unusable("the filters of this template would have to read too much")
        return function(value, *arguments, **named)

    return filter


def _environment(finalizer: Callable[[Any], str], filters: Mapping[str, Callable[..., object]]) -> Environment:
    environment = Environment(
        # A template is its own name. Each is compiled when it is first rendered, and kept.
        loader=lambda source: source,
        fuel=FUEL,
        undefined_behavior="strict",
        auto_escape_callback=lambda name: None,
        keep_trailing_newline=True,
        finalizer=finalizer,
        pycompat=False,
        debug=True,  # otherwise an error does not say which name is undefined
    )
    for name in _GLOBALS_OF_MINIJINJA:
        environment.remove_global(name)
    for name in _REMOVED_FILTERS:
        environment.remove_filter(name)
    for name, function in filters.items():
        environment.add_filter(name, _bounded(function))
    return environment


class Engine:
    """Renders the templates of one document."""

    def __init__(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        filters = {**OURS, "table": table_filter(tables)}
        self.tables = tables
        self._values = _environment(_keep, filters)
        self._texts = _environment(_written, filters)
        self._paths = _environment(_encoded, filters)

    def undeclared(self, source: str) -> set[str]:
        """The names that the template does not define itself. Raises TemplateError if it cannot be parsed."""
        return self._texts.undeclared_variables_in_str(source)

    def value(self, source: str, names: Names) -> object:
        self._render(self._values, source, names)
        value, _rendering.value = _rendering.value, None
        return plain(value)

    def text(self, source: str, names: Names) -> str:
        return self._render(self._texts, source, names)

    def path(self, source: str, names: Names) -> str:
        return self._render(self._paths, source, names)

    def _render(self, environment: Environment, source: str, names: Names) -> str:
        _rendering.room = _rendering.read = LARGEST_TEXT
        text = environment.render_template(source, **names)
        if len(text) > LARGEST_TEXT:
            raise Unusable("the result is longer than 1 MiB")
        return text


class Dynamic(ABC):
    """A value that is found when it is needed."""

    @abstractmethod
    def value(self, names: Names) -> object:
        """A JSON value, or OMIT. Raises EvaluationFailed."""


@dataclass(frozen=True)
class Template(Dynamic):
    """A text of the document that is evaluated. `path` names its place for people."""

    engine: Engine = field(repr=False, compare=False)
    source: str
    path: str
    is_expression: bool
    uses_secret: bool = False
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: Engine, source: str, path: str, uses_secret: bool = False) -> Template:
        source = source.strip() if (one := is_one_expression(source)) else source
        name = _ONE_NAME.fullmatch(source)
        return cls(engine, source, path, one, uses_secret, tuple(name[1].split(".")) if name else ())

    def value(self, names: Names) -> object:
        found = self._looked_up(names) if self.parts else None
        if found is not None:
            try:
                _count(found, 0)
            except Unusable as error:
                raise EvaluationFailed(self.path, str(error)) from None
            return found
        return self._evaluated(self.engine.value if self.is_expression else self.engine.text, names)

    def _looked_up(self, names: Names) -> object:
        """The text or number of a name such as `change.title`, which needs no rendering. None: render it."""
        value: object = names
        for part in self.parts:
            if not isinstance(value, dict) or (value := dict.get(value, part)) is None:
                return None
        if type(value) is str:
            return value if len(value) <= LARGEST_TEXT else None
        return value if type(value) is int else None

    def url_path(self, names: Names) -> str:
        """The text with percent-encoded values. Raises EvaluationFailed, also for an empty value."""
        return str(self._evaluated(self.engine.path, names))

    def _evaluated(self, evaluate: Callable[[str, Names], object], names: Names) -> object:
        begun = time.thread_time()
        try:
            value = evaluate(self.source, names)
            _count(value, time.thread_time() - begun)
        except Unusable as error:
            raise EvaluationFailed(self.path, self._said(str(error))) from None
        except TemplateError as error:
            if missing := _MISSING_SECRET.search(error.detail or error.message):
                told = f"the secret {missing[1]} is not written. Write it on the page of the connection"
                raise SecretMissing(self.path, told) from None
            raise EvaluationFailed(self.path, self._said(_reason(error), error.kind)) from None
        # What a filter raises for arguments that it does not take, and Python for values that it cannot compare.
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError) as error:
            raise EvaluationFailed(self.path, self._said(f"cannot be evaluated: {error}")) from None
        else:
            return value

    def _said(self, reason: str, kind: str = "") -> str:
        """The reason, but of a template with secrets nothing that may quote one."""
        if self.uses_secret and kind != "UndefinedError":
            return "cannot be evaluated (the reason is not shown, because it may quote a secret)"
        return reason


def _reason(error: TemplateError) -> str:
    if error.kind == "OutOfFuel":
        return "the template does too much work"
    detail = error.detail or error.message
    line = f" (line {error.line} of the template)" if (error.line or 1) > 1 else ""
    return f"{detail[:300]}{line}"


Value = Any  # a JSON value whose texts may be templates


def evaluated(value: Value, names: Names) -> Any:
    """The value with its templates evaluated, and without what is `omit`.

    OMIT if it is that as a whole, or if nothing of a mapping or list is left: so that a comment without a body is none.
    """
    if isinstance(value, Dynamic):
        return value.value(names)
    if isinstance(value, dict):
        items = ((key, evaluated(item, names)) for key, item in value.items())
        kept = {key: item for key, item in items if item is not OMIT}
        return OMIT if value and not kept else kept
    if isinstance(value, list):
        left = [item for each in value if (item := evaluated(each, names)) is not OMIT]
        return OMIT if value and not left else left
    return value


def is_true(value: Value, names: Names) -> bool:
    """Whether a condition holds: as Jinja counts, but the text of a condition in words is refused."""
    found = evaluated(value, names)
    return bool(found) and found is not OMIT
