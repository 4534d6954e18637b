"""The alerts and the dashboard: Prometheus takes them, they fire as they say, and all that they ask for exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.test import Client
from prometheus_client import REGISTRY

from integrations.watch.figures import Exposed

from .exchange import ROOT
from .factories import ChangeFactory
from .integrations.watch.prometheus import TOKEN, scraped
from .mapped import mapped_system

FOLDER = ROOT / "docs" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
NAMES = re.compile(r"\bcasexchange_\w+")


def promtool(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, text=True, cwd=FOLDER, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def expressions() -> list[str]:
    """Those of the dashboard, as Prometheus gets them from Grafana."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "5m").replace("$system", ".*") for text in found]


@pytest.mark.any_database
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
    ],
)
def test_prometheus_takes_the_files_and_the_alerts_fire_as_they_should(arguments):
    assert "SUCCESS" in promtool(*arguments)


@pytest.mark.any_database
def test_each_alert_is_tried_both_ways_and_explained():
    tried = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    names = [rule["alert"] for rule in RULES]
    all_rows = [row for test in tried for row in test["alert_rule_test"]]
    assert {row["alertname"] for row in all_rows if row.get("exp_alerts")} == {*names}
    assert {row["alertname"] for row in all_rows if not row.get("exp_alerts")} >= {*names}
    explained = re.findall(r"^\| `(Casexchange\w+)` \| (?:page|ticket) \| .{20,} \| .{20,} \|$", _docs(), re.MULTILINE)
    assert explained == names


@pytest.mark.any_database
def test_prometheus_reads_each_expression_of_the_dashboard(tmp_path: Path):
    rules = [{"record": f"panel:number:{number}", "expr": text} for number, text in enumerate(expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


@pytest.mark.any_database
def test_the_dashboard_can_be_imported_anywhere():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*ids}) == len(ids)
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "system"}
    sources = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())}
    assert sources == {"${datasource}"}
    places = [(panel["gridPos"]["y"], panel["gridPos"]["x"]) for panel in DASHBOARD["panels"]]
    assert len({*places}) == len(places)
    assert places == sorted(places)


def test_all_that_is_asked_for_is_exported_and_explained(transactional_db, acme, settings):
    exported = _exported(settings)
    text = "\n".join([*expressions(), *(rule["expr"] for rule in RULES)])
    asked = {*NAMES.findall(text)}
    assert len(asked) > 12
    assert asked - exported == set()
    families = {name for name in exported if not name.endswith(("_bucket", "_sum", "_count", "_created"))}
    explained = {*NAMES.findall(_docs())}
    assert families - explained == set(), "docs/operations.md explains each figure"
    assert explained - exported == set()


def test_prometheus_finds_no_fault_with_the_figures(transactional_db, acme, settings):
    settings.METRICS_TOKEN = TOKEN
    ChangeFactory(owning_group=acme.external_groups.get().group)
    mapped_system("OMEGA", "OMEGA Desk")
    assert scraped()
    page = Client().get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).content.decode()
    promtool("check", "metrics", given=page)


def _exported(settings) -> set[str]:
    """The names of all figures, also of those that nothing was counted for yet."""
    mapped_system("OMEGA", "OMEGA Desk")
    assert Client().get("/healthz").status_code == 200  # the first request loads what counts requests
    families = [*REGISTRY.collect(), *Exposed(settings.METRICS_DIR).collect()]
    names: set[str] = set()
    for family in families:
        if family.name.startswith("casexchange_"):
            ends = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
            names |= {family.name + end for end in ends}
            if family.type == "histogram":
                names.add(family.name)
    return names


def _docs() -> str:
    return (ROOT / "docs" / "operations.md").read_text()
