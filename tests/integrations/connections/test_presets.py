"""The presets are documents without faults, and their heads name what they need. tests/foreign/ runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.connections.document import connection_of, faults_of
from integrations.pages.connection.presets import presets

FOREIGN = Path(__file__).resolve().parents[2] / "foreign"


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_preset_has_no_faults_and_names_its_secrets(name: str) -> None:
    text = presets()[name]
    assert faults_of(text) == []
    connection = connection_of(text)
    head = text.split("\nbase_url:")[0]
    assert connection.secret_names
    assert [secret for secret in connection.secret_names if secret not in head] == []
    assert {*connection.outgoing} == {"Assign", "Accept", "Cancel", "Update"}
    assert connection.poll or connection.inbox


def test_only_what_is_run_against_the_real_program_is_shipped() -> None:
    tests = "".join(file.read_text() for file in FOREIGN.glob("test_*.py"))
    assert [name for name in presets() if f'"{name}.yaml"' not in tests] == []
