"""docs/simulator.md: its example runs as it stands there, and it names all that there is."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import fields

import pytest
import yaml

from integrations.sandbox.simulator.behaviour import Behaviour, Mode
from integrations.sandbox.simulator.config import Partner
from tests.exchange import ROOT

from .conftest import Simulator

PAGE = (ROOT / "docs" / "simulator.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def documented(tmp_path):
    [file] = blocks("yaml")
    simulator = Simulator(tmp_path, yaml.safe_load(file)["partners"])
    yield simulator
    simulator.process.stop()


def test_the_example_does_what_the_page_says(documented):
    start, commands = blocks("sh")
    assert start.startswith(".venv/bin/python manage.py simulator --port 9912 --config ")
    behave, push, received = commands.replace("http://127.0.0.1:9912", documented.url).splitlines()

    def run(command: str) -> str:
        done = subprocess.run(["sh", "-ec", command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert json.loads(run(behave))["times"] == 2
    answers = [run(f"{push} --write-out '%{{stderr}}%{{http_code}}' 2>&1") for _ in range(3)]
    assert [re.search(r"\b(?:200|503|401)\b", answer)[0] for answer in answers] == ["503", "503", "200"]
    assert [item["answered"] for item in json.loads(run(received))] == ["503", "503", "200"]
    assert "401" in run(push.replace("OPEN", "ACME") + " --write-out '%{http_code}'")


def test_it_names_each_key_and_each_behaviour():
    _, of_file, of_behaviour, of_calls = re.split(r"^## (?:The file of partners|Behaviours|Calls)$", PAGE, flags=re.M)
    first = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \|", of_file, re.M)]
    assert {*itertools.chain(*first)} == {field.name for field in fields(Partner)}
    rows = {*re.findall(r"^\| `(\w+)` \|", of_behaviour, re.M)}
    assert rows - {"mode"} == {*Mode} | {field.name for field in fields(Behaviour)} - {"mode"}
    assert "/behaviour` |" in of_calls
