"""A benchmark compared with a saved run: what is called worse, better or the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import saved
from bench.figures import Figure


def figure(name: str, ratios: list[float], at_least: bool = True) -> Figure:
    return Figure(name, "", 1, at_least, ours=ratios, compared=[1.0] * len(ratios))


@pytest.mark.parametrize(
    ("then", "now", "at_least", "verdict"),
    [
        ([0.9, 1.0, 1.1], [0.6, 0.7, 0.8], True, "worse"),
        ([0.9, 1.0, 1.1], [1.2, 1.3, 1.4], True, "better"),
        ([0.9, 1.0, 1.1], [1.2, 1.3, 1.4], False, "worse"),
        ([0.9, 1.0, 1.1], [0.6, 0.7, 0.8], False, "better"),
        ([0.9, 1.0, 1.1], [0.7, 0.8, 0.95], True, "same"),  # the spreads meet
        ([1.0], [0.97], True, "same"),  # too little
        ([1.0], [0.8], True, "worse"),
    ],
)
def test_what_differs_by_more_than_the_spread_is_worse_or_better(tmp_path: Path, then, now, at_least, verdict):
    file = tmp_path / "run.json"
    saved.save(file, [figure("drain", then), figure("gone", [1.0])], "a machine")
    [comparison] = saved.compared([figure("drain", now, at_least), figure("new", [1.0])], saved.load(file))
    assert (comparison.name, comparison.verdict) == ("drain", verdict)
    assert f"{verdict:6}  drain: " in saved.report([comparison])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ratios": 3}'])
def test_a_file_that_is_no_saved_run_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "run.json"
    file.write_text(text)
    with pytest.raises(ValueError):
        saved.load(file)
