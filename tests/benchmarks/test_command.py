from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import main, questions
from benchmarks.steps import suite
from benchmarks.steps.command import Quantity, app
from benchmarks.steps.contenders import OURS, Ours, OursOnTorch
from benchmarks.steps.peers import SnnTorch
from benchmarks.steps.sweeps import SWEEPS
from benchmarks.steps.tables import outcome
from benchmarks.steps.timing import StepTimes

run = CliRunner().invoke


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """What ``python -m benchmarks`` prints to the error stream when it ends with code 2."""
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


def test_quick_prints_everyone_and_writes_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "EVERYONE", (Ours, OursOnTorch, SnnTorch))
    folder = tmp_path / "new" / "bench"
    result = run(app, ["--quick", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    for name in (OURS, OursOnTorch.name, SnnTorch.name):
        assert result.output.count(name) == 2  # mlp and csnn
    assert "pass" not in result.output
    record = json.loads((folder / "bench.json").read_text())
    assert record["steps"].keys() == {"mlp", "csnn"}
    assert record["machine"]["threads"] == 2


def test_a_sweep_shows_the_slope(tmp_path: Path) -> None:
    result = run(app, ["--quick", "--sweep", "width", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "slope" in result.output
    assert (tmp_path / "bench-width.svg").exists()


def test_every_sweep_can_be_asked_for() -> None:
    assert [quantity.value for quantity in Quantity] == list(SWEEPS)


def test_missing_data_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(monkeypatch, capsys, "steps", "mnist-epoch", "--root", str(tmp_path))
    assert "MNIST" in error


def test_a_folder_that_cannot_be_made_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    error = refused(monkeypatch, capsys, "steps", "--out", str(tmp_path / "file"))
    assert "cannot be made" in error


def test_one_that_is_left_out_is_shown_with_the_reason() -> None:
    facts = {"model": "mlp", "batch": 2, "steps": 3, "input_activity": 0.1, "input": "none"}
    comparison = StepTimes(facts, {}, {"lfprop": "does not import: no lxt"}, 9, 2, (0, 0))
    table = outcome(comparison)
    assert not isinstance(table, str)
    assert [*table.columns[0].cells] == ["lfprop"]
    assert "no lxt" in str([*table.columns[1].cells])


def test_an_unknown_benchmark_is_told_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(monkeypatch, capsys, "stepz")
    assert "stepz" in error and "steps" in error


def test_every_benchmark_has_a_question_and_a_main() -> None:
    known = questions()
    assert {"steps", "depth", "loader"} <= known.keys()
    for name in known:
        assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_a_reader_that_has_seen_enough_ends_it_without_a_word() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-u", "-m", "benchmarks"],
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert done.stderr == b""
