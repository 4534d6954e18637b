"""Rules for the product's code, checked by reading the code.

The exchange depends on the models' signals. So all code must write changes, comments, attachments and approvals with
`save()`, and must set a phase with a transition. The contracts in pyproject.toml say who may import whom.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from changes.models import Approval, Attachment, Change, Comment, SupportGroup

from .databases import ON_SQLITE_TOO
from .factories import ChangeFactory, UserFactory

ROOT = Path(__file__).resolve().parent.parent
STATEMENTS = "integrations/statements/"
PACKAGES = ("casexchange", "changes", "integrations")
MODULES = sorted(
    file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts
)
ANNOUNCED = {"Change", "Comment", "Attachment", "Approval"}
# Attributes of other records that are managers of these models.
RELATED_TO_ANNOUNCED = {"changes", "requested_changes", "comments", "attachments", "approvals"}
# The largest share of annotated arguments that may have the type Any.
MOST_ANY = 0.08
BULK = {"update", "bulk_create", "bulk_update", "aupdate", "abulk_create", "abulk_update"}
RAW = {"raw", "extra", "cursor", "save_base", "_raw_delete", "RawSQL"}


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _chain(node: ast.expr) -> list[str]:
    """`Change.objects.filter(x).first` as ["Change", "objects", "filter", "first"]. Other expressions become "?"."""
    if isinstance(node, ast.Attribute):
        return [*_chain(node.value), node.attr]
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Call):
        return _chain(node.func)
    return ["?"]


@cache
def _trees() -> dict[str, ast.Module]:
    return {_name(file): _tree(file) for file in MODULES}


# --- Tests of these checks ---


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


def found(look: Callable[[ast.Module], list[str]]) -> dict[str, list[str]]:
    """The findings in the product's modules, without modules that have none."""
    return {name: lines for name, tree in _trees().items() if (lines := look(tree))}


def test_no_phase_is_assigned() -> None:
    assert found(_assigned_phases) == {}


def test_changes_and_additions_are_written_by_save_alone() -> None:
    around = found(_writes_around_save)
    assert around == {
        "integrations/incoming/locks.py": ["connection.cursor()"],  # an advisory lock, which writes nothing
        "changes/models/append_only.py": ["connection.cursor()"],  # looks for the triggers of the security log
        "changes/security_log/chain.py": ["connection.cursor()"],  # an advisory lock, too
        # Looks for an index, and for the limit of the session.
        "changes/setup/online_migrations.py": ["schema_editor.connection.cursor()"] * 2 + ["connection.cursor()"],
        # Reads the clock and the encoding of the database, and how it and its replica stand.
        "integrations/setup/doctor.py": ["connection.cursor()", "connection.cursor()", "connections[REPLICA].cursor()"],
        "changes/replica/freshness.py": ["connections[alias].cursor()"],  # asks for positions in the log
        # Reads the limits of a session, and asks what a pooler keeps.
        "integrations/setup/doctor_sessions.py": ["connection.cursor()", "taking.cursor()"],
        "changes/models/activity.py": ["connection.cursor()"] * 2,  # the time of the last activity
        "changes/models/history.py": ["connection.cursor()"],  # the audit row, a copy of the record's row
        "changes/models/inserting.py": ["connection.cursor()"],  # what save() itself inserts
        **{name: calls for name, calls in around.items() if name.startswith(STATEMENTS)},  # see the next test
        # It fills an unused database in bulk, without the models. That is its purpose.
        "integrations/sandbox/volume/tables.py": ["connection.cursor()"] * 4,
        "integrations/backup/dumping.py": ["connection.cursor()", "connections[self.alias].cursor()"],  # only reads
        "integrations/backup/restoring.py": ["connection.cursor()"] * 2,  # counts rows
        "integrations/backup/resuming.py": ["connection.cursor()"],  # ends sessions, moves the numbers of changes on
        "casexchange/apps.py": ["connections[using].cursor()"],  # sets the limits of the session for migrations
    }


def test_the_statements_in_sql_write_nothing_but_operations_exchanges_and_when_a_partner_was_heard_of() -> None:
    texts = "".join(file.read_text() for file in (ROOT / STATEMENTS).glob("*.py"))
    written = re.findall(r"\b(?:UPDATE|INSERT INTO|DELETE FROM)\s+(\w+)", texts)
    # External references: only the time at which the partner last confirmed them.
    tables = {"integrations_outgoingoperation", "integrations_exchange", "integrations_externalreference"}
    assert {*written} - {"OF", "SKIP"} == tables


def test_only_the_outbox_writes_outgoing_operations() -> None:
    writers = {name for name in found(_writes_of_operations) if not name.startswith("integrations/outgoing/outbox/")}
    # The demo dates its first deliveries back.
    assert writers == {"integrations/sandbox/demo/invented_past.py"}


def test_only_the_receivers_listen_to_saves() -> None:
    # The security log watches accounts, tokens and systems, none of which is announced to partners. The last one
    # listens to accounts.
    assert [*found(_signals_of_saves)] == [
        "changes/security_log/watching.py",
        "integrations/outgoing/receivers.py",
        "integrations/tokens/revoking.py",
    ]


def test_modules_stay_under_400_lines() -> None:
    lines = {_name(file): len(file.read_text().splitlines()) for file in (*MODULES, *(ROOT / "tests").rglob("*.py"))}
    assert len(lines) > len(MODULES)
    assert {name: count for name, count in lines.items() if count >= 400} == {}


def test_few_arguments_have_any_for_a_type() -> None:
    annotations = [annotation for tree in _trees().values() for annotation in _annotations_of_arguments(tree)]
    bare = [annotation for annotation in annotations if isinstance(annotation, ast.Name) and annotation.id == "Any"]
    assert len(bare) <= MOST_ANY * len(annotations), "give them real types, or `object` where any value is taken"


HTMX_AND_RENEWAL = ("changes/pages/htmx.py", "changes/pages/renewal.py")


def test_one_module_reads_what_htmx_sends_and_one_says_how_a_part_renews_itself() -> None:
    own = re.compile(r"\bHX-|request\.htmx\b|X-Version|status=204|NOTHING_NEW|patch_vary|hx-trigger=.{0,30}\bevery\b")
    files = [*MODULES, *(ROOT / "templates").rglob("*.html")]
    pages = [file for file in files if "simulator" not in file.parts]
    found = {_name(file): found for file in pages if (found := own.findall(file.read_text()))}
    languages = {"changes/pages/preferences/preferences.py": ["patch_vary"] * 2}  # for every response, also of the API
    assert {name: texts for name, texts in found.items() if name not in HTMX_AND_RENEWAL} == languages


@pytest.mark.parametrize("module", ["rules", "outgoing/payloads"])
def test_rules_and_payloads_import_nothing_that_does_io(module: str) -> None:
    pure = {
        "__future__",
        "collections.abc",
        "dataclasses",
        "datetime",
        "typing",
        ".choices",
        "changes.texts.timestamps",
    }
    imported = {
        "." * node.level + (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in _tree(ROOT / "integrations" / f"{module}.py").body
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= pure


def test_what_runs_on_sqlite_too_is_there() -> None:
    assert [name for name in ON_SQLITE_TOO if not (ROOT / "tests" / name).is_file()] == []


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


def _annotations_of_arguments(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            own = node.args
            named = [*own.posonlyargs, *own.args, own.vararg, *own.kwonlyargs, own.kwarg]
            yield from (one.annotation for one in named if one is not None and one.annotation is not None)


def _writes_of_operations(tree: ast.Module) -> list[str]:
    return [
        ast.unparse(call.func)
        for call in _calls(tree)
        for chain in [_chain(call.func)]
        if chain == ["OutgoingOperation"]
        or (chain[0] == "OutgoingOperation" and chain[-1] in BULK | {"create", "get_or_create", "update_or_create"})
    ]


def _signals_of_saves(tree: ast.Module) -> list[str]:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    # `super().pre_save` and `field.pre_save` are a method of a model field, not the signal.
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    of_fields = ("super()", "field")
    names |= {node.attr for node in attributes if ast.unparse(node.value) not in of_fields}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return sorted(names & {"post_save", "pre_save"})


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
    """Whether a call is a forbidden bulk write: one that does not visibly start at another `<Model>.objects`."""
    if not isinstance(node, ast.Call):
        return False
    chain = _chain(node.func)
    if chain[-1] not in BULK or len(chain) == 1:
        return False
    if chain[-1] == "update" and node.args:
        return False  # update() of a dict or a hash: a QuerySet's takes only keyword arguments
    models = {name for name in chain if name[0].isupper()}
    return not models or bool(models & ANNOUNCED) or bool({*chain} & RELATED_TO_ANNOUNCED) or "objects" not in chain
