"""What the product's code must keep to, read from the code itself.

The exchange hangs on the models' signals, so nothing may write a change, a comment, an attachment or an approval around
`save()`, and no phase may be set but by a transition. Who may import whom: the contracts in pyproject.toml.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from changes.models import Approval, Attachment, Change, Comment, SupportGroup

from .factories import ChangeFactory, UserFactory

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("casexchange", "changes", "integrations")
MODULES = sorted(
    file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts
)
ANNOUNCED = {"Change", "Comment", "Attachment", "Approval"}
# Managers and querysets of these models that are reached from another record.
RELATED_TO_ANNOUNCED = {"changes", "requested_changes", "comments", "attachments", "approvals"}
BULK = {"update", "bulk_create", "bulk_update", "aupdate", "abulk_create", "abulk_update"}
RAW = {"raw", "extra", "cursor", "save_base", "_raw_delete", "RawSQL"}


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _chain(node: ast.expr) -> list[str]:
    """`Change.objects.filter(x).first` as ["Change", "objects", "filter", "first"]; what is no name reads "?"."""
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Call):
        return _chain(node.func)
    return ["?"]


each_module = pytest.mark.parametrize("file", MODULES, ids=_name)


# --- The readers of the code find what they are for ---


@pytest.mark.parametrize(
    "code",
    [
        "change.phase = 'Plan'",
        "self.change.phase = Phase.PLAN",
        "change.phase, x = 'Plan', 1",
        "change.phase: str = 'Plan'",
        "setattr(change, 'phase', 'Plan')",
        "change.__dict__['phase'] = 'Plan'",
        "vars(change).update(phase='Plan')",
        "change.__dict__ |= {'phase': 'Plan'}",
    ],
)
def test_an_assigned_phase_is_found(code: str) -> None:
    assert _assigned_phases(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "Change.objects.update(title='x')",
        "models.Change.objects.filter(pk=1).update(title='x')",
        "change.comments.update(body='x')",
        "queryset.update(title='x')",
        "self.get_queryset().filter(pk=1).update(**values)",
        "Comment.objects.bulk_create(rows)",
        "change.attachments.bulk_create(rows)",
        "type(change).objects.bulk_update(rows, fields)",
        "Change.objects.raw('UPDATE')",
        "connection.cursor()",
        "Change._base_manager.filter(pk=1)",
        "change.save_base(raw=True)",
    ],
)
def test_a_write_around_save_is_found(code: str) -> None:
    assert _writes_around_save(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "change.save()",
        "digest.update(chunk)",
        "context.update({'a': 1})",
        "OutgoingOperation.objects.filter(pk=1).update(status='x')",
        "OutgoingOperation.objects.bulk_create(rows)",
    ],
)
def test_an_honest_write_is_not_mistaken(code: str) -> None:
    assert not _writes_around_save(ast.parse(code))
    assert not _assigned_phases(ast.parse(code))


# --- The product ---


@each_module
def test_no_phase_is_assigned(file: Path) -> None:
    assert _assigned_phases(_tree(file)) == []


@each_module
def test_changes_and_additions_are_written_by_save_alone(file: Path) -> None:
    found = _writes_around_save(_tree(file))
    assert found == {
        "integrations/incoming/locks.py": ["connection.cursor()"],  # for an advisory lock, which writes nothing
        "changes/models/history.py": ["connection.cursor()"],  # for the audit row, a copy of the record's own
        "integrations/api/authentication.py": ["AuthToken.objects.raw(_PARTNER, [digest])"],  # a SELECT
        "integrations/outgoing/external_groups.py": ["SupportGroup.objects.raw(_NAMED, [name])"],  # a SELECT
        # Of operations, which no save announces, and SELECTs.
        "integrations/outgoing/outbox/claiming.py": [
            "OutgoingOperation.objects.raw(CLAIM % {'oldest': oldest, 'also': also}, [*chosen, lease])",
            "DeliveryControl.objects.raw(CONTROLS_OF_DUE + lock, [moment])",
        ],
        "integrations/outgoing/outbox/message.py": [  # a SELECT
            "ExternalReference.objects.raw(REFERENCES % tuple(marks), [*changes, *systems])"
        ],
        # In bulk, around the models, for a database that nobody uses; which is what it is for.
        "integrations/sandbox/volume/tables.py": ["connection.cursor()"] * 4,
        "casexchange/apps.py": ["connections[using].cursor()"],  # for the limits of the session while migrating
    }.get(_name(file), [])


@each_module
def test_only_the_outbox_writes_outgoing_operations(file: Path) -> None:
    writes = [
        ast.unparse(call.func)
        for call in _calls(_tree(file))
        for chain in [_chain(call.func)]
        if chain == ["OutgoingOperation"]
        or (chain[0] == "OutgoingOperation" and chain[-1] in BULK | {"create", "get_or_create", "update_or_create"})
    ]
    assert writes == [] or _name(file).startswith(("integrations/outgoing/outbox/", "integrations/migrations/"))


@each_module
def test_only_the_receivers_listen_to_saves(file: Path) -> None:
    names = {node.id for node in ast.walk(_tree(file)) if isinstance(node, ast.Name)}
    # Of `super()`, pre_save is what a column makes of a value.
    attributes = [node for node in ast.walk(_tree(file)) if isinstance(node, ast.Attribute)]
    names |= {node.attr for node in attributes if not isinstance(node.value, ast.Call)}
    names |= {alias.name for node in ast.walk(_tree(file)) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not names & {"post_save", "pre_save"} or _name(file) == "integrations/outgoing/receivers.py"


@each_module
def test_modules_stay_under_400_lines(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines < 400


@pytest.mark.parametrize("module", ["rules", "payloads"])
def test_rules_and_payloads_import_nothing_that_does_io(module: str) -> None:
    pure = {"__future__", "collections.abc", "dataclasses", "datetime", "typing", ".choices", "changes.timestamps"}
    imported = {
        "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in _tree(ROOT / "integrations" / f"{module}.py").body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= pure


def test_every_command_says_what_it_does() -> None:
    ours = {name: app for name, app in get_commands().items() if app in PACKAGES}
    assert ours
    silent = [name for name, app in ours.items() if not load_command_class(app, name).help.strip()]
    assert silent == []


# --- And while it runs ---


@pytest.mark.parametrize("bulk", ["update", "bulk_create", "bulk_update"])
@pytest.mark.parametrize("model", [Change, Comment, Attachment, Approval])
def test_a_bulk_write_is_refused(model: type, bulk: str) -> None:
    with pytest.raises(TypeError, match="save"):
        getattr(model.objects, bulk)()


def test_a_bulk_write_over_a_related_record_is_refused(db: None) -> None:
    change = ChangeFactory(title="Replace core switch")
    group = SupportGroup.objects.get(name="Network")
    alice = UserFactory(username="alice")
    for manager in (change.comments, change.attachments, change.approvals, group.changes, alice.requested_changes):
        with pytest.raises(TypeError, match="save"):
            manager.update()
    change.refresh_from_db()
    assert change.title == "Replace core switch"


# --- Reading the code ---


def _assigned_phases(tree: ast.AST) -> list[str]:
    return [ast.unparse(node) for node in ast.walk(tree) if _is_assigned_phase(node)]


def _is_assigned_phase(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr in {"phase", "__dict__"}
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return "__dict__" in _chain(node.value)
    return isinstance(node, ast.Call) and _sets_attributes(node)


def _sets_attributes(call: ast.Call) -> bool:
    chain = _chain(call.func)
    if chain[-1] in {"setattr", "__setattr__"}:
        return any(isinstance(argument, ast.Constant) and argument.value == "phase" for argument in call.args)
    return chain[-1] == "update" and bool({"__dict__", "vars"} & {*chain})


def _writes_around_save(tree: ast.AST) -> list[str]:
    return [ast.unparse(node) for node in ast.walk(tree) if _is_around_the_orm(node) or _is_bulk_write(node)]


def _is_around_the_orm(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _chain(node.func)[-1] in RAW
    return isinstance(node, ast.Attribute) and node.attr == "_base_manager"


def _is_bulk_write(node: ast.AST) -> bool:
    """A bulk write is honest only where one sees that its model is another: it starts at `<Model>.objects`."""
    if not isinstance(node, ast.Call):
        return False
    chain = _chain(node.func)
    if chain[-1] not in BULK or len(chain) == 1:
        return False
    if chain[-1] == "update" and node.args:
        return False  # a dict's or a digest's: that of a QuerySet takes named values only
    models = {name for name in chain if name[0].isupper()}
    return not models or bool(models & ANNOUNCED) or bool({*chain} & RELATED_TO_ANNOUNCED) or "objects" not in chain
