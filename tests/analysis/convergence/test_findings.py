"""What is said of a convergence study, and written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from lfp_snn.analysis.convergence.findings import CaseResult, ConvergenceFindings
from lfp_snn.analysis.convergence.report import summary_rows, write_convergence


def cell(seed: int, first: float, last: float | None) -> dict[str, Any]:
    """Eight comparisons of three layers; the last two have the values that are given."""
    shift = 0.01 * seed
    return {
        "seed": seed,
        "test_accuracy": 0.9 + shift,
        "val_accuracy": 0.9,
        "rewards": [1.0 / (step + 1) for step in range(16)],
        "probed": list(range(0, 16, 2)),
        "layers": ["1.weight", "3.weight", "5.weight"],
        "cosines": [[0.5, 0.5, 0.5]] * 6
        + [
            [first - 0.1 + shift, None, None if last is None else last - 0.1],
            [first + 0.1 + shift, 0.3, None if last is None else last + 0.1],
        ],
    }


FALLS = CaseResult("epsilon", "deep", [cell(seed, 0.1, 0.6) for seed in range(3)], {})
LEVEL = CaseResult(
    "norm", "deep", [cell(0, 0.4, 0.5), cell(1, 0.5, 0.4), cell(2, 0.3, 0.4)], {"seed 3": "lost"}
)
SILENT = CaseResult("hebbian", "deep", [cell(seed, 0.1, None) for seed in range(3)], {})
NOTHING = CaseResult("gamma", "deep", [], {"seed 0": "feedback is not finite"})
FINDINGS = ConvergenceFindings(
    [FALLS, LEVEL, SILENT, NOTHING], "surrogate", {"cores": 2}, {"source": "made up"}
)


def test_the_end_is_the_last_quarter_and_the_start_the_first_batch() -> None:
    assert FALLS.end.mean(0) == pytest.approx([0.11, 0.3, 0.6])
    assert FALLS.start.tolist() == [[0.5, 0.5, 0.5]] * 3


def test_depth_is_judged_over_the_seeds() -> None:
    fall, level = FINDINGS.falls["epsilon", "deep"], FINDINGS.falls["norm", "deep"]
    assert fall.difference == pytest.approx(0.6 - 0.11)
    assert fall.adjusted == pytest.approx(2 * fall.p) and level.adjusted == level.p
    assert set(FINDINGS.falls) == {("epsilon", "deep"), ("norm", "deep")}
    said = list(FINDINGS.conclusions())
    assert "is 0.60 at the output and 0.11 at the first layer" in said[0]
    assert said[0].endswith("it falls towards the input.")
    assert said[1].endswith("no fall or rise with depth is shown.")
    assert said[2].startswith("hebbian, deep: nothing can be said of depth")
    assert len(said) == 4


def test_the_report_has_every_number(tmp_path: Path) -> None:
    page = write_convergence(FINDINGS, tmp_path, "tiny").read_text()
    for row in summary_rows(FINDINGS):
        assert all(text in page for text in row)
    assert "gamma, deep, seed 0: feedback is not finite" in page
    for name in ("reward", "alignment", "depth"):
        assert (tmp_path / "figures" / f"{name}.svg").stat().st_size > 0
    steps = list(csv.DictReader(io.StringIO((tmp_path / "steps.csv").read_text())))
    assert len(steps) == 9 * 16 and steps[1]["reward"] == "0.5"
    lines = list(csv.DictReader(io.StringIO((tmp_path / "alignment.csv").read_text())))
    assert len(lines) == 9 * 8 * 3
    assert lines[18:20] == [
        {
            "rule": "epsilon",
            "depth": "deep",
            "seed": "0",
            "step": "12",
            "layer": "1.weight",
            "from_output": "2",
            "cosine": "0",
        },
        {
            "rule": "epsilon",
            "depth": "deep",
            "seed": "0",
            "step": "12",
            "layer": "3.weight",
            "from_output": "1",
            "cosine": "",
        },
    ]
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["cases"][2]["end"][0][2] is None and found["cases"][3]["test_accuracy"] is None


def test_a_report_of_nothing(tmp_path: Path) -> None:
    page = write_convergence(
        ConvergenceFindings([NOTHING], "surrogate", {}, {}), tmp_path, "tiny"
    ).read_text()
    assert "feedback is not finite" in page
