"""Tables of the terminal fit 80 characters, and nothing in them is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.matrix.workspace import make_small, run_cli

COLUMNS = 80
SHOWN = (
    "ls",
    "data ls",
    "data info nmnist",
    "data info recording.bin",
    "evaluate runs/RUN",
    "predict runs/RUN recording.bin",
    "metrics runs/RUN",
    "prune runs/RUN runs/A",
    "compare compare_digits --learners lfp,surrogate,step_gradient",
    "sweep sweep_digits",
)


@pytest.mark.parametrize("shown", SHOWN)
def test_a_table_fits(
    shown: str, workspace: Path, jobs_here: None, no_reports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shown.startswith("metrics"):
        pytest.importorskip("neurobench")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    result = run_cli(make_small(shown.split()))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert not [line for line in lines if "\u2026" in line], "cut off"
    if shown.startswith("compare"):
        titles = next(line for line in lines if line.startswith("learner"))
        assert titles.split()[-4:] == ["training,", "s", "step,", "ms"]
        assert "step_gradient" in result.stdout
    if shown.startswith("prune"):
        (titles,) = (line for line in lines if "0 %" in line)
        assert titles.split("  ")[-1].strip() == "50 %"
