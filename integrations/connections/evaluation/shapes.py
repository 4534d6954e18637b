"""The parts of a connection as they are after its document was read: immutable, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..templating.templates import Value

PAUSE_ON = frozenset({401, 410})


@dataclass(frozen=True)
class PartTemplate:
    """One part of a multipart body. `kind`: json, text or file."""

    name: str
    kind: str
    value: Value = None
    content_type: str | None = None


@dataclass(frozen=True)
class BodyTemplate:
    """`kind`: json, form, text, multipart or file. `value`: what it is made of; for multipart a list of parts."""

    kind: str
    value: Value = None


@dataclass(frozen=True)
class RequestTemplate:
    """A request before its templates are evaluated. `path` names its place in the document.

    `uses_secret`: whether a header or the body does. An address never does.
    """

    path: str
    method: str
    target: Value
    query: Mapping[str, Value] = field(default_factory=dict)
    headers: Mapping[str, Value] = field(default_factory=dict)
    body: BodyTemplate | None = None
    uses_secret: bool = False


@dataclass(frozen=True)
class Expectation:
    """What an answer must be like. `statuses`: None stands for any 2xx."""

    statuses: frozenset[int] | None = None
    refuse_if: Value = False
    retry_if: Value = False


@dataclass(frozen=True)
class Step:
    """One call. `path` is that of the step, as in `outgoing.Assign[1] create: `; keys are appended to it."""

    name: str
    path: str
    request: RequestTemplate
    expectation: Expectation = Expectation()
    when: Value = True
    result: Mapping[str, Value] = field(default_factory=dict)
    save: Mapping[str, Value] = field(default_factory=dict)
    once: bool = True


@dataclass(frozen=True)
class OperationTemplate:
    """What becomes of an entry or a webhook: the body of an operation, and its key."""

    path: str
    body: Value
    key: Value = None
    when: Value = True


@dataclass(frozen=True)
class Listing:
    """The request for what is new. `page_size`: how many items a full page has.

    `by_page`: whether the next page is asked for by its number. Otherwise it is asked for by the cursor.
    `cursor`: of the whole answer, where it is not one of an item.
    """

    request: RequestTemplate
    expectation: Expectation = Expectation()
    items: Value = None
    page_size: int | None = None
    by_page: bool = False
    cursor: Value = None


@dataclass(frozen=True)
class Poll:
    """How the partner's news is found. `every` and `overlap` are seconds. The rules are in polling_rules.py."""

    every: int
    listed: Listing
    cursor: Value
    external_id: Value
    operation: OperationTemplate
    overlap: int | None = None
    read: tuple[Step, ...] = ()
    entries: Value = None
    skip_if: Value = False
    acknowledge: tuple[Step, ...] = ()

    @property
    def has_read(self) -> bool:
        return bool(self.read)

    @property
    def page_size(self) -> int | None:
        return self.listed.page_size


@dataclass(frozen=True)
class Verification:
    """How a webhook proves who sent it. `kind`: token, basic, standard_webhooks or hmac."""

    kind: str
    in_query: bool = False
    username: Value = None
    password: Value = None
    secret: str = ""
    header: str = ""
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""


@dataclass(frozen=True)
class Inbox:
    verify: Verification
    operations: tuple[OperationTemplate, ...]


@dataclass(frozen=True)
class Read:
    """How a record is read by its `external_id`, for reconciliation."""

    steps: tuple[Step, ...]
    status: Value = None
    gone: Value = False
