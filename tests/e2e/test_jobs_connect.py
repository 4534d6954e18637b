"""The job "connect a partner", done in a browser by somebody who counts every click and every field."""

import os
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from changes.models import Change
from integrations.models import ExternalSystem
from integrations.outgoing import delivery
from tests.exchange import ROOT
from tests.processes import free_port, start, until

MOST = 15
RECEIVER = ROOT / "docs/partner-examples/receive.py"


class Counted:
    """The page of a person. Counts what they do there."""

    def __init__(self, page):
        self.page, self.done = page, []

    def click(self, role, name):
        self.page.get_by_role(role, name=name, exact=True).click()
        self.done.append(f"click {name}")

    def fill(self, label, value):
        self.page.get_by_label(label).fill(value)
        self.done.append(f"fill {label}")


@pytest.fixture
def receiver(tmp_path):
    """`receiver(lines)` starts the partner's example receiver, in a shell that has read these lines."""
    started = []

    def begin(lines, port):
        script = tmp_path / "receive.sh"
        script.write_text(f"{lines}\nexec {sys.executable} {RECEIVER}\n")
        process = start(["sh", str(script)], log=tmp_path / "receiver.log", environment={"PORT": str(port)}, cwd=ROOT)
        started.append(process)
        until("the receiver listens", lambda: _listens(port))
        return tmp_path / "receiver.log"

    yield begin
    for process in started:
        process.stop()


def _listens(port):
    import socket

    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def test_an_integration_administrator_alone_connects_a_partner_that_works(signed_in_page, ingrid, receiver, settings):
    port = free_port()
    page = signed_in_page(ingrid)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/")
    began = time.monotonic()
    person = Counted(page)
    person.click("link", "Exchange")
    person.click("link", "Status")
    page.wait_for_url("**/exchange/status/")
    page.get_by_role("link", name="Connect a partner").first.click()
    person.done.append("click Connect a partner")
    person.fill("System id", "ZETA")
    person.fill("Endpoint URL", f"http://127.0.0.1:{port}/operations")
    person.fill("New groups", "ZETA Printers")
    person.click("button", "Connect")
    # The secrets are masked, and are copied without being shown.
    expect(page.locator("#lines")).to_be_hidden()
    person.click("button", "Copy all lines")
    expect(page.locator("#copied")).to_have_text("Copied")
    lines = page.evaluate("navigator.clipboard.readText()")
    received = receiver(lines, port)
    person.click("button", "Ping")
    expect(page.locator(".pinged h2")).to_contain_text("ZETA is reachable")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Send a test operation").click()
    person.done.append("click Send a test operation")
    test = Counted(opened.value)
    test.click("button", "Send the test")
    expect(test.page.get_by_role("heading", name="The Assign is recorded.")).to_be_visible()
    delivery.drain()
    expect(test.page.get_by_role("heading", name="It works: ZETA has taken the test.")).to_be_visible()
    done = [*person.done, *test.done]
    assert len(done) <= MOST, done
    assert len(done) == 11
    assert time.monotonic() - began < 60  # a person may take three minutes
    assert [line.split()[0] for line in received.read_text().splitlines() if line[:6] in ("Assign", "Cancel")] == [
        "Assign",
        "Cancel",
    ]
    assert ExternalSystem.objects.get().system_id == "ZETA"
    # The token that was copied with them works.
    token = next(line for line in lines.splitlines() if line.startswith("export TOKEN="))
    answer = subprocess.run(
        [
            "sh",
            "-c",
            f'{token}; curl -s -H "Authorization: Bearer $TOKEN" {page.url.partition("/exchange")[0]}/api/v1/changes/',
        ],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert Change.objects.get().number in answer.stdout


def test_it_is_done_with_keys_alone_and_without_scripts(signed_in_page, ingrid):
    page = signed_in_page(ingrid, java_script_enabled=False)
    page.goto("/exchange/systems/new/")
    page.locator("[name=kind][value=push]").focus()
    page.keyboard.press("ArrowDown")  # the partner asks us
    expect(page.get_by_label("Endpoint URL")).to_be_hidden()
    for typed in ("ZETA", "", "ZETA Printers"):
        page.keyboard.press("Tab")
        page.keyboard.type(typed)
    for _ in range(2):  # past the account, which is folded
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("ZETA is registered, with its account and its groups.")).to_be_visible()
    shown = page.locator("summary").filter(has_text="Token")
    expect(page.locator("details code").first).to_be_hidden()
    shown.focus()
    page.keyboard.press("Enter")
    assert len(page.locator("details[open] code").inner_text()) == 64
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Ping").press("Enter")
    expect(opened.value.get_by_text("ZETA has not come yet.")).to_be_visible()


def test_a_kind_shows_its_fields_and_no_others(signed_in_page, ingrid):
    page = signed_in_page(ingrid)
    page.goto("/exchange/systems/new/")
    shown = {}
    for kind in ("push", "pull", "smax", "preset", "document"):
        page.locator(f"[name=kind][value={kind}]").check()
        fields = ("endpoint_url", "preset", "document")
        shown[kind] = [name for name in fields if page.locator(f"[name={name}]").is_visible()]
    assert shown == {"push": ["endpoint_url"], "pull": [], "smax": [], "preset": ["preset"], "document": ["document"]}
