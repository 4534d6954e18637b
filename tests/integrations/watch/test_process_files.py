"""Many processes count: their sum never goes back when one ends, and begins at zero when all have ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.samples import Sample

from integrations.watch import process_files

pytestmark = pytest.mark.any_database

# Counts as often as it is told by a line, then answers; ends with its input.
COUNTING = """
import os, pathlib, sys
from integrations.watch import process_files
if len(sys.argv) > 2:  # as in a container, where process ids begin anew
    os.getpid = lambda: int(sys.argv[2])
process_files.count_in(pathlib.Path(sys.argv[1]))
from prometheus_client import Counter, Histogram
counter, histogram = Counter("counted", "x", ["what"]), Histogram("took", "x", ["what"], buckets=(1, 2))
for line in sys.stdin:
    if line.startswith("fork"):
        if os.fork() == 0:
            counter.labels("a").inc(int(line.split()[1]))
            os._exit(0)
        os.wait()
    else:
        counter.labels("a").inc(int(line))
        histogram.labels("a").observe(1.5)
    print("done", flush=True)
"""


class Process:
    def __init__(self, folder: Path, *pid: str) -> None:
        command = [sys.executable, "-c", COUNTING, str(folder), *pid]
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def count(self, what: object) -> None:
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(f"{what}\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "done\n"

    def kill(self) -> None:
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def start(tmp_path: Path):
    begun: list[Process] = []

    def start(*pid: str) -> Process:
        begun.append(Process(tmp_path, *pid))
        return begun[-1]

    yield start
    for process in begun:
        if process.child.poll() is None:
            process.kill()


def total(folder: Path, name: str = "counted_total", **labels: str) -> float:
    samples: list[Sample] = [sample for metric in process_files.summed(folder) for sample in metric.samples]
    return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())


def test_what_processes_count_is_summed_and_stays_when_one_is_killed(start, tmp_path):
    first, second = start(), start()
    first.count(3)
    second.count(4)
    assert total(tmp_path) == 7
    first.kill()
    assert total(tmp_path) == total(tmp_path) == 7
    second.count(1)
    third = start()
    third.count(2)
    assert total(tmp_path) == 10
    assert total(tmp_path, "took_bucket", le="2.0") == total(tmp_path, "took_count") == 4
    files = sorted(file.name for file in tmp_path.glob("counter_*.db"))
    assert len(files) == 3  # two alive, and one of all that ended
    assert "counter_ended.db" in files


def test_two_processes_of_one_host_name_and_process_id_count_for_themselves(start, tmp_path):
    """Two containers that share the folder, with the host name that both were given."""
    first, second = start("7"), start("7")
    for _ in range(3):
        first.count(1)
        second.count(10)
    assert total(tmp_path) == 33
    names = {file.stem.rpartition("-")[0] for file in tmp_path.glob("*.lock")}
    assert len(names) == 1, "otherwise this tests nothing"
    assert len([*tmp_path.glob("*.lock")]) == 2
    first.kill()
    second.count(10)
    assert total(tmp_path) == 43


def test_a_forked_child_counts_for_itself(start, tmp_path):
    process = start()
    process.count(1)
    process.count("fork 5")
    process.count(1)
    assert total(tmp_path) == 7


def test_when_all_have_ended_the_next_one_begins_at_zero(start, tmp_path):
    first = start()
    first.count(3)
    first.kill()
    second = start()
    second.count(1)
    assert total(tmp_path) == 1
    assert len([*tmp_path.glob("*.lock")]) == 1
