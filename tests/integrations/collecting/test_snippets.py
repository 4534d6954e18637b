"""The examples of docs/partner-api.md, section "Collecting operations", run as they stand there."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

GUIDE = Path("docs/partner-api.md").read_text().split("## Collecting operations")[1].split("\n## ")[0]


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def environment(running_exchange):
    gamma = running_exchange.partner_api("GAMMA")
    token = gamma.headers["Authorization"].split()[1]
    return {**os.environ, "DESK": running_exchange.base_url, "TOKEN": token, "NO_PROXY": "*"}


def give_to_gamma(exchange, title):
    fields = {"title": title, "owning_group": "GAMMA Cloud"}
    return exchange.api("alice").post("/api/v1/changes/", json=fields).json()["number"]


def test_the_calls_with_curl(running_exchange, environment):
    collect, acknowledge, many = snippets("sh")
    numbers = {give_to_gamma(running_exchange, f"For curl {count}") for count in range(2)}

    def run(command, **more):
        done = subprocess.run(
            ["bash", "-c", command], env={**environment, **more}, capture_output=True, text=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    found = run(collect)
    given = [one for one in found["results"] if one["change"]["number"] in numbers]
    assert {*found} == {"next", "previous", "cursor", "results"}
    first, second = (one["id"] for one in given)
    assert run(acknowledge, ID=first)["status"] == "Delivered"
    # The same record id belongs to the first change by now: the delivery counts, the id does not.
    (one,) = run(many, ID=second)["results"]
    assert (one["id"], one["status"], one["external_reference"]) == (second, "Delivered", None)
