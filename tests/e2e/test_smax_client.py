"""The public client `smax` of the Python Package Index, unmodified, against the running server; and raw requests."""

import re
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests
import smax

from tests.factories import PASSWORD

LOGIN = "/auth/authentication-endpoint/authenticate/login"

_SETUP = """
from integrations.models import ExternalSystem, PartnerAccount
from django.contrib.auth import get_user_model
user, _ = get_user_model().objects.get_or_create(username="smax-integration")
PartnerAccount.objects.get_or_create(user=user)
user.set_password({password!r})
user.save()
types = {{"entity_types": ["Change", "Incident"]}}
ExternalSystem.objects.update_or_create(
    system_id="SMAXDESK", defaults={{"authorized_user": user, "delivery": "smax", "smax": types}}
)
"""


@pytest.fixture(scope="module")
def desk(running_exchange):
    running_exchange.shell(_SETUP.format(password=PASSWORD))
    return running_exchange


@pytest.fixture(scope="module")
def account(desk):
    return (desk.base_url, "smax-integration", PASSWORD, "default")


def test_the_public_client_signs_in_creates_updates_and_reads(account):
    run, build, directory = (kind(*account) for kind in (smax.Run, smax.Build, smax.MasterData))
    created = run.create_entity("Incident", {"DisplayLabel": "Made by the client", "Urgency": "SevereDisruption"})
    assert created["meta"]["completion_status"] == "OK"
    record_id = created["entity_result_list"][0]["entity"]["properties"]["Id"]
    updated = run.update_entity(int(record_id), "Incident", {"Description": "<p>One</p><p>Two</p>"})
    assert updated["entity_result_list"][0]["completion_status"] == "OK"
    refused = run.update_entity(int(record_id), "Incident", {"PhaseId": "Close"})
    assert refused["entity_result_list"][0]["errorDetails"]["httpStatus"] == 409

    found = run.get_incidents(
        "Id, DisplayLabel, Description", f"Id = '{record_id}' and DisplayLabel startswith ('Made')"
    )
    assert found["meta"]["total_count"] == 1
    assert found["entities"][0]["properties"]["Description"] == "One<br><br>Two"
    listed = build.get_changes("Id,PhaseId", "PhaseId in ('Log','Plan')")
    assert record_id in [each["properties"]["Id"] for each in listed["entities"]]

    names = [each["properties"]["Name"] for each in directory.get_groups("Id,Name")["entities"]]
    assert "ACME Networks" in names
    assert directory.get_groups("Id,Name", "Name = 'x'")["meta"]["completion_status"] == "OK"
    [person] = directory.get_people("Id,Name")["entities"]
    assert person["properties"]["Name"] == "smax-integration"
    whole = directory.get_person_by_id(person["properties"]["Id"], "Id,Name")
    assert whole["entities"][0]["properties"] == person["properties"]


def test_a_wrong_password_gets_an_answer_that_opens_nothing(account):
    answer = smax.Run(account[0], account[1], "wrong", "default").get_incidents("Id")
    assert answer["meta"]["errorDetails"]["httpStatus"] == 401


def test_what_the_web_server_adds(desk):
    """Its headers, a raw body with a name in UTF-8, and a body that is larger than what is read at once."""
    session = requests.Session()
    token = session.post(desk.base_url + LOGIN, json={"login": "smax-integration", "password": PASSWORD}).text
    session.cookies["SMAX_AUTH_TOKEN"] = token
    content = b"%PDF-" + b"x" * 300_000
    headers = {"fs_filename": "Pläne.pdf".encode(), "Content-Type": "application/pdf"}
    upload = session.post(f"{desk.base_url}/rest/default/frs/file-list", data=content, headers=headers).json()
    assert (upload["success"], upload["name"], upload["contentLength"]) == (True, "Pläne.pdf", len(content))
    assert session.get(f"{desk.base_url}/rest/default/frs/file-list/{upload['guid']}").content == content
    before = int(time.time())
    feed = session.get(f"{desk.base_url}/rest/default/ces", params={"system": "SMAXDESK", "time": 0})
    assert before <= parsedate_to_datetime(feed.headers["Date"]).timestamp() <= time.time()
    assert "," not in feed.headers["Date"].split(", ", 1)[1]  # one header, not two
    assert feed.json()["meta"] == {**feed.json()["meta"], "completion_status": "OK", "errorDetails": None}
    large = session.post(f"{desk.base_url}/rest/default/ces", data=b"x" * 2_000_000)
    assert large.status_code == 413
    assert large.json()["meta"]["errorDetails"]["httpStatus"] == 413


def test_the_examples_of_the_documentation(desk, account, tmp_path):
    """Runs the shell examples of docs/smax.md as one script: each call must succeed."""
    session = requests.Session()
    session.auth = (account[1], account[2])
    rest = f"{desk.base_url}/rest/default"
    new = {"operation": "CREATE", "entities": [{"entity_type": "Change", "properties": {"DisplayLabel": "Example"}}]}
    created = session.post(f"{rest}/ems/bulk", json=new).json()["entity_result_list"][0]["entity"]["properties"]["Id"]
    headers = {"fs_filename": "plan.txt", "Content-Type": "text/plain"}
    guid = session.post(f"{rest}/frs/file-list", data=b"A plan", headers=headers).json()["guid"]
    blocks = re.findall(r"```sh\n(.*?)```", Path("docs/smax.md").read_text(), re.DOTALL)
    assert len(blocks) >= 6
    script = "\n".join(["set -eu", f"ID={created} GUID={guid}", *blocks])
    for theirs, ours in {
        "https://desk.example.com": desk.base_url,
        "acme-integration": account[1],
        "ACME": "SMAXDESK",
        # The change has the reference that `ems/bulk` gave it.
        "C-1001": created,
    }.items():
        assert theirs in script
        script = script.replace(theirs, ours)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"FAILED"') == 0
    assert '"DisplayLabel":"Example"' in done.stdout
