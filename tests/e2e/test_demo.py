"""`manage.py demo`, which `make demo` runs: every operation with real processes, without a person."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest
import requests

from tests.exchange import ROOT
from tests.processes import start, until


class Demo:
    """A demo that was started as by a person, with a separate folder for its temporary files."""

    def __init__(self, folder):
        self.folder = folder
        ours = ("SECRET_KEY", "DEBUG", "VAR_DIR", "DATABASE_URL", "CELERY_BROKER_URL", "MEDIA_ROOT")
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        variables = [f"{name}={value}" for name, value in {**kept, "TMPDIR": str(folder)}.items()]
        self.process = start(
            ["env", "-i", *variables, sys.executable, "manage.py", "demo"],
            log=folder / "output.txt",
            cwd=ROOT,
        )

    @property
    def output(self):
        return (self.folder / "output.txt").read_text()

    def children(self):
        pid = self.process.child.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def child(self, name):
        """Waits for a child process. Returns its process id and command."""

        def find():
            self.process.check_running()
            commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0") for pid in self.children()}
            return next(((pid, command) for pid, command in commands.items() if name in command), None)

        return until(f"the {name} process runs", find)

    def leftovers(self, children=()):
        """The folder and processes of the demo that still exist. There should be none."""
        folders = [
            str(file) for folder in self.folder.glob("casexchange-demo-*") for file in [folder, *folder.rglob("*")]
        ]
        return folders, [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    if demo.process.child.poll() is None:
        demo.process.stop()


def test_all_scenes_go_by_the_rules_and_nothing_is_left(demo):
    assert demo.process.wait(300) == 0, demo.output

    output = demo.output
    assert re.search(r"^All \d+ scenes went by the rules\.$", output, re.MULTILINE)
    assert "DIFFERS" not in output
    titles = re.findall(r"^ ?(\d+)\. (.+)$", output, re.MULTILINE)
    assert [int(number) for number, _ in titles] == [*range(1, len(titles) + 1)]
    for operation in ("Assign", "Accept", "Cancel", "Update"):
        assert re.search(rf"^    [A-Z]+ receives {operation} \d+ of CHG\d+", output, re.MULTILINE), operation
    for operation in ("Create", "Update", "Assign", "Reject", "Cancel"):
        assert re.search(rf"^    [A-Z]+ sends {operation}: answered 20[01]$", output, re.MULTILINE), operation
    for operation in ("Update", "Cancel"):
        assert re.search(rf"^    [A-Z]+ sends {operation}: answered 409, ", output, re.MULTILINE), operation
    assert "no Update follows the Cancel" in output
    assert "BETA is down now" in output
    assert demo.leftovers() == ([], [])


def test_what_differs_from_the_rules_is_said_and_ends_in_a_failure(demo):
    _, command = demo.child("simulator")
    url = f"http://127.0.0.1:{command[command.index('--port') + 1]}/api/partners/ACME/behaviour"
    strange = {"mode": "answer", "status": 200, "body": {"external_id": "X-1", "external_status": "Strange"}}

    def is_set():
        try:
            return requests.put(url, json=strange, timeout=5).ok
        except requests.ConnectionError:
            return False

    until("ACME answers strangely", is_set)
    assert demo.process.wait(300) == 1, demo.output
    assert "DIFFERS: This does not hold: the partner's status fills the reference" in demo.output
    assert re.search(r"^casexchange: 1 of \d+ scenes differ from the rules: 1\.$", demo.output, re.MULTILINE)


def test_an_interrupted_demo_leaves_nothing(demo):
    """As Ctrl-C does, and the death of a process, with the same supervisor: test_serve.py."""
    demo.child("beat")
    children = demo.children()
    demo.process.child.send_signal(signal.SIGTERM)
    assert demo.process.wait(60) == 1
    assert demo.output.endswith("casexchange: Interrupted before all scenes were played. No data is left behind.\n")
    assert "Traceback" not in demo.output
    assert demo.leftovers(children) == ([], [])
