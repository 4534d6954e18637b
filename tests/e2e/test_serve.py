"""`manage.py serve`, which `make run` runs: from an empty folder to a running desk with partners, and the shutdown."""

import csv
import html
import json
import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command

from tests import services, warm
from tests.exchange import ROOT, Client
from tests.processes import free_port, start, until

# All tests share one installation.
pytestmark = pytest.mark.xdist_group("serve")

ROLES = {
    "alice": "Service desk agent",
    "carol": "Change manager",
    "ingrid": "Integration administrator",
    "audrey": "Auditor",
    "admin": "Superuser",
}
READY = "Ctrl-C stops everything."


def environment(folder, **variables):
    """The environment after a fresh clone: no variable of the product is set."""
    ours = ("SECRET_KEY", "DEBUG", "DATABASE_URL", "CELERY_BROKER_URL", "MEDIA_ROOT", "OUTGOING_ALLOWED_NETWORKS")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "VAR_DIR": str(folder), "LOG_LEVEL": "INFO", **variables}


def manage(folder, *arguments, **variables):
    return warm.manage(arguments, environment(folder, **variables), is_once=True)


class Served:
    """A `serve` with a separate folder and ports."""

    def __init__(self, folder):
        self.folder = folder
        self.port, self.simulator_port = free_port(), free_port()
        self.log = folder.with_name(f"{folder.name}.log")
        self.process = None

    def start(self):
        self.log.unlink(missing_ok=True)
        ports = {"PORT": str(self.port), "SIMULATOR_PORT": str(self.simulator_port)}
        variables = [f"{name}={value}" for name, value in environment(self.folder, **ports).items()]
        command = ["env", "-i", *variables, sys.executable, "manage.py", "serve"]
        self.process = start(command, log=self.log, cwd=ROOT)

    def is_running(self):
        return self.process is not None and self.process.child.poll() is None

    def until_says(self, text):
        def says_it():
            self.process.check_running()
            return text in self.output

        until(f"it says {text!r}", says_it, 300)

    @property
    def output(self):
        return self.log.read_text()

    @property
    def accounts(self):
        """The printed accounts: user name and password by role."""
        rows = re.findall(r"^  (\w+) +(\S+)   (.+)$", self.output, re.MULTILINE)
        return {name: (password, role) for name, password, role in rows}

    def children(self):
        """The process ids of its children."""
        pid = self.process.child.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def stop(self, number=signal.SIGINT):
        self.process.child.send_signal(number)
        return self.process.wait(60)

    def api(self, username):
        token = manage(self.folder, "create_api_token", username).stdout.strip()
        return Client(f"http://127.0.0.1:{self.port}", token)

    def simulator(self, path):
        return requests.get(f"http://127.0.0.1:{self.simulator_port}{path}", timeout=10).json()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sign_in(served, username, password):
    """A session that has filled in the sign-in form."""
    session = requests.Session()
    url = f"http://127.0.0.1:{served.port}/accounts/login/"
    page = session.get(url, timeout=10)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
    form = {"username": username, "password": password, "csrfmiddlewaretoken": token}
    answer = session.post(url, data=form, headers={"Referer": url}, timeout=30)
    return answer, session


def everything(api):
    """The number of records of each kind; changes by type and phase."""
    counts, path = {}, "/api/v1/changes/?limit=200"
    while path:
        page = api.get(path.removeprefix(api.base_url)).json()
        for change in page["results"]:
            kind = (change["change_type"], change["phase"])
            counts[kind] = counts.get(kind, 0) + 1
        path = page["next"]
    return counts


@pytest.fixture(scope="module")
def installation():
    """One folder for all tests of the module, since the first start is slow."""
    served = Served(services.run_dir() / f"serve-{services.worker_number()}")
    yield served
    if served.is_running():
        served.process.stop()


@pytest.fixture
def served(installation):
    """A running installation."""
    if not installation.is_running():
        installation.start()
        installation.until_says(READY)
    return installation


def test_the_first_start_prints_where_to_go_and_with_which_accounts(served):
    assert requests.get(f"http://127.0.0.1:{served.port}/readyz", timeout=10).json()["status"] == "ready"
    assert f"casexchange runs at http://127.0.0.1:{served.port}/" in served.output
    assert f"http://127.0.0.1:{served.simulator_port}/" in served.output
    assert {name: role for name, (_, role) in served.accounts.items()} == ROLES
    passwords = {password for password, _ in served.accounts.values()}
    assert len(passwords) == 5 and min(map(len, passwords)) >= 16


def test_each_account_signs_in_with_its_printed_password(served):
    for username, (password, _) in served.accounts.items():
        answer, session = sign_in(served, username, password)
        assert answer.status_code == 200, username
        assert "sessionid" in session.cookies, username
    answer, session = sign_in(served, "alice", "wrong")
    assert "sessionid" not in session.cookies


def test_no_password_or_key_is_fixed_in_the_code_and_what_is_kept_is_private(served):
    secret_files = [
        "secret_key",
        "field_encryption_keys",
        "installation.json",
        "simulator.yaml",
        "simulator.received.jsonl",
    ]
    for name in secret_files:
        assert oct((served.folder / name).stat().st_mode & 0o777) == "0o600", name
    code = "".join(file.read_text(errors="replace") for file in (ROOT / "integrations").rglob("*.py"))
    assert not [password for password, _ in served.accounts.values() if password in code]
    kept = json.loads((served.folder / "installation.json").read_text())
    logs = "".join(file.read_text(errors="replace") for file in (served.folder / "logs").glob("*.log"))
    for secret in [*kept["signing_secrets"].values(), *kept["tokens"].values()]:
        assert secret not in served.output
        assert secret not in logs


def test_there_are_200_changes_over_all_types_and_phases(served):
    counts = everything(served.api("audrey"))
    assert sum(counts.values()) >= 200
    normal = ["Log", "Evaluate", "Plan", "ApprovePlan", "Deploy", "Backout", "Validate", "Review", "Close", "Abandon"]
    standard = [phase for phase in normal if phase not in ("Evaluate", "ApprovePlan")]
    emergency = [phase for phase in normal if phase not in ("Evaluate", "Plan")]
    expected = {("Normal", phase) for phase in normal} | {("Standard", phase) for phase in standard}
    assert set(counts) == expected | {("Emergency", phase) for phase in emergency}


def test_there_are_five_partners_of_each_way_of_delivery_and_eight_groups_of_which_six_are_external(served):
    dump = manage(served.folder, "dump_exchange").stdout
    assert re.findall(r"- system_id: (\w+)", dump) == ["ACME", "BETA", "DELTA", "EPSILON", "GAMMA"]
    assert re.findall(r"  delivery: (\w+)", dump) == ["push", "push", "pull", "smax", "push"]
    assert len(re.findall(r"^- name: ", dump, re.MULTILINE)) == 8
    assert len(re.findall(r"  external_system: [A-Z]+$", dump, re.MULTILINE)) == 6


def test_the_partners_have_what_was_given_to_them_and_have_sent_something_back(served):
    partners = {partner["system_id"]: partner for partner in served.simulator("/api/partners")}
    assert set(partners) == {"ACME", "BETA", "DELTA", "EPSILON", "GAMMA"}
    assert all(partner["records"] for partner in partners.values())
    assert {message["signature"] for message in served.simulator("/api/received?system_id=DELTA")} == {"collected"}
    assert {message["signature"] for message in served.simulator("/api/received?system_id=EPSILON")} == {"polled"}
    operations = {message["operation"] for message in served.simulator("/api/received")}
    assert operations == {"Assign", "Accept", "Cancel", "Update"}
    sent = [(message["operation"], message["status"] < 300) for message in served.simulator("/api/sent")]
    assert {("Create", True), ("Update", True), ("Assign", True), ("Reject", True)} <= set(sent)
    assert {("Cancel", False), ("Update", False)} <= set(sent)
    of_each = {message["system_id"] for message in served.simulator("/api/sent") if message["status"] < 300}
    assert of_each == {*partners}


def test_the_numbers_of_the_desk_lead_to_as_many_operations(served):
    session, url = sign_in(served, "alice", served.accounts["alice"][0])[1], f"http://127.0.0.1:{served.port}"
    desk = html.unescape(session.get(f"{url}/", timeout=10).text)
    counts = dict(re.findall(r'<td><a href="/exchange/(\?[^"]*)">(\d+)</a>', desk))
    logs = {query: session.get(f"{url}/exchange/log.csv{query}", timeout=10).text.splitlines() for query in counts}
    found = {query: {row["operation_id"] for row in csv.DictReader(logs[query])} for query in logs}
    assert {} != counts == {query: str(len(ids)) for query, ids in found.items()}


def test_other_commands_find_the_key_of_the_folder_and_none_elsewhere(served, tmp_path):
    assert manage(served.folder, "check").returncode == 0
    elsewhere = manage(tmp_path, "check")
    assert elsewhere.returncode != 0
    assert "SECRET_KEY is not set" in elsewhere.stderr


def test_help_lists_our_commands_with_one_line_each_without_a_key(tmp_path):
    text = manage(tmp_path, "--help").stdout
    ours = re.findall(r"^    (\w+) +(\S.+\.)$", text, re.MULTILINE)
    names = [
        "backup",
        "check",
        "check_connection",
        "create_api_token",
        "deliver",
        "demo",
        "doctor",
        "dump_exchange",
        "erase_person",
        "exchange_status",
        "export_person",
        "generate_changes",
        "hold_after_restore",
        "link_oidc",
        "load_exchange",
        "migrate",
        "remove_second_factor",
        "restore",
        "resume_after_restore",
        "retain",
        "rotate_secrets",
        "serve",
        "serve_metrics",
        "simulator",
        "verify_audit",
    ]
    assert [name for name, _ in ours] == names
    assert "migrate" in text


def test_it_does_not_run_twice_on_one_folder(served):
    before = served.children()
    again = manage(served.folder, "serve", PORT=str(free_port()), SIMULATOR_PORT=str(free_port()))
    assert again.returncode == 1
    assert again.stderr == f"casexchange: serve is already running with {served.folder}.\n"
    assert served.children() == before


def test_a_folder_with_a_database_of_another_origin_is_refused(served, tmp_path):
    folder = tmp_path / "var"
    folder.mkdir()
    for file in served.folder.glob("db.sqlite3*"):
        shutil.copy(file, folder)
    done = manage(folder, "serve", PORT=str(free_port()), SIMULATOR_PORT=str(free_port()))
    assert done.returncode == 1
    assert f"casexchange: The database in {folder} was not filled by serve." in done.stderr
    assert not (folder / "simulator.yaml").exists()


def test_ctrl_c_stops_everything_and_the_next_start_has_the_same_data_and_accounts(served):
    accounts, counts = served.accounts, everything(served.api("audrey"))
    records = served.simulator("/api/records")
    children = served.children()
    assert len(children) == 4

    assert served.stop(signal.SIGINT) == 0
    assert served.output.endswith("Stopped. The data is kept for the next start.\n")
    assert "Traceback" not in served.output
    assert not [child for child in children if is_alive(child)]
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{served.port}/", timeout=5)

    # After a restart on other ports, deliveries still reach the partners.
    served.port, served.simulator_port = free_port(), free_port()
    served.start()
    served.until_says(READY)
    assert served.accounts == accounts
    assert "Loading" not in served.output
    alice = served.api("alice")
    assert everything(alice) == counts
    kept = [record["external_id"] for record in served.simulator("/api/records")]
    assert kept == [record["external_id"] for record in records]

    group = {"title": "Given after the restart", "owning_group": "ACME Networks"}
    number = alice.post("/api/v1/changes/", json=group).json()["number"]
    until("ACME has it", lambda: served.simulator(f"/api/records?change={number}"))


def test_a_process_that_dies_is_named_and_ends_the_rest(served):
    children = served.children()
    (worker,) = [pid for pid in children if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGKILL)

    assert served.process.wait(60) == 1
    assert "casexchange: The worker process ended unexpectedly (SIGKILL). The end of " in served.output
    assert str(served.folder / "logs" / "worker.log") in served.output
    assert "Traceback" not in served.output.partition("The end of ")[0]
    assert not [child for child in children if is_alive(child)]


def test_sigterm_stops_everything_too(served):
    children = served.children()
    assert served.stop(signal.SIGTERM) == 0
    assert "Traceback" not in served.output
    assert not [child for child in children if is_alive(child)]


def test_nothing_outlives_a_serve_that_is_killed(served):
    children = served.children()
    served.process.kill()
    until("the children are gone", lambda: not [child for child in children if is_alive(child)])
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{served.port}/", timeout=5)


def test_an_interrupted_first_start_leaves_nothing_half_loaded(tmp_path):
    served = Served(tmp_path / "var")
    served.start()
    served.until_says("Loading the demo data")
    assert served.stop(signal.SIGINT) == 0
    assert "Traceback" not in served.output
    count = "from django.contrib.auth.models import User; print(User.objects.count())"
    assert manage(served.folder, "shell", "--verbosity=0", "--command", count).stdout == "0\n"


# --- Obstacles: each prints one line, and nothing is started ---


def refused(folder, *arguments, **variables):
    done = manage(folder, "serve", *arguments, **variables)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("variable", ["PORT", "SIMULATOR_PORT"])
def test_a_taken_port_is_named(tmp_path, variable):
    ports = {"PORT": str(free_port()), "SIMULATOR_PORT": str(free_port())}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(tmp_path / "var", **{**ports, variable: str(port)})
    assert line.startswith(f"casexchange: Port {port} cannot be used (Address already in use). ")
    assert f"{variable}={port + 1} make run" in line
    assert not (tmp_path / "var" / "db.sqlite3").exists()


def test_one_port_for_two_is_refused(tmp_path):
    assert "must differ" in refused(tmp_path / "var", PORT="8123", SIMULATOR_PORT="8123")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    line = refused(tmp_path / "file" / "var")
    assert line == (
        f"casexchange: {tmp_path / 'file' / 'var'} cannot be written to (Not a directory). "
        "Set VAR_DIR to a folder of your own.\n"
    )


def test_a_read_only_folder_is_named():
    line = refused(Path("/sys/kernel"))  # read-only for root too
    assert line.startswith("casexchange: /sys/kernel cannot be written to (")


def test_what_is_no_port_is_refused(tmp_path):
    done = manage(tmp_path / "var", "serve", PORT="many")
    assert done.returncode == 2
    assert "argument --port: 'many' is not a port: give a number from 1 to 65535" in done.stderr
    assert not (tmp_path / "var").exists()
    for port in ("0", "65536", "-1", "8000.5"):
        with pytest.raises(CommandError, match=f"argument --port: '{port}' is not a port"):
            call_command("serve", f"--port={port}")
