"""Reads what Prometheus would read."""

from __future__ import annotations

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a token of more than twenty characters".replace(" ", "-")


def parsed(text: str) -> dict[str, float]:
    """Each figure by its name as Prometheus writes it, with its labels in order: `up{a="x",b="y"}`."""
    return {
        named(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def named(name: str, **labels: str) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"casexchange_{name.removeprefix('casexchange_')}{{{inner}}}"


def scraped() -> dict[str, float]:
    response = Client().get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200, response.content
    return parsed(response.content.decode())


def grown(before: dict[str, float], after: dict[str, float], name: str, **labels: str) -> float:
    return after.get(named(name, **labels), 0) - before.get(named(name, **labels), 0)
