"""Records are collected from what commands leave; what is not finished is refused."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks._tables import PrintedColumn
from lfp_snn.analysis.machine import machine
from lfp_snn.errors import LfpSnnError
from tests.tools.results.made import RULES, comparison_folder, kept_table, run_folder
from tools.results.collecting import CollectError, collect
from tools.results.records import (
    ComparisonRecord,
    PrintedRecord,
    RecordError,
    RunsRecord,
    StepsRecord,
    TableRecord,
)


def test_a_comparison(tmp_path: Path) -> None:
    folder = comparison_folder(tmp_path, {"lfp": [0.9, 0.8], "rescale": [0.7, 0.6]})
    record = collect("lfp-snn compare made", [folder], (1.0, 2.0))
    assert isinstance(record, ComparisonRecord)
    assert record.command == "lfp-snn compare made"
    assert record.date == datetime.date(2026, 1, 2)
    assert (record.trials, record.trial_epochs, record.epochs) == (8, 4, 12)
    assert record.machine.processor == machine()["processor"]
    assert record.machine.load == (1.0, 2.0)
    rescale = record.learners["rescale"]
    assert rescale.learner == RULES["rescale"]
    assert (rescale.seeds, rescale.test) == ([0, 1], [0.7, 0.6])
    assert rescale.training_s == [1.235, 1.235]
    assert (record.target, rescale.to_target_s) == (0.85, [0.617, None])


def test_runs_of_several_seeds(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / str(seed), seed, 0.9 + seed / 100) for seed in (0, 1)]
    record = collect("lfp-snn train made", folders, None)
    assert isinstance(record, RunsRecord)
    assert (record.seeds, record.test) == ([0, 1], [0.9, 0.91])
    assert record.machine.load is None


def test_what_a_benchmark_printed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("load 1\n\n| a |\n| - |\n")
    os.utime(log, (86_400 * 365, 86_400 * 365))
    record = collect("python -m benchmarks made --threads 7", [log], None)
    assert isinstance(record, PrintedRecord)
    assert record.machine.threads == 7
    assert record.lines == ["load 1", "", "| a |", "| - |"]
    assert record.date == datetime.date(1971, 1, 1)


def test_the_table_of_a_benchmark(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(kept_table(["lfp", [1.0, 0.5, 1.5]], ["other", None])))
    record = collect("python -m benchmarks made", [file], None)
    assert isinstance(record, TableRecord)
    assert (record.machine.processor, record.machine.load) == ("Some processor", (0.1, 1.3))
    assert record.date == datetime.date(2026, 1, 2)
    assert record.columns[1] == PrintedColumn("ahead", "bounds")
    assert record.rows == [["lfp", [1.0, 0.5, 1.5]], ["other", None]]


@pytest.mark.parametrize(
    "row", [["lfp"], ["lfp", [1.0]], ["lfp", []], ["lfp", float("nan")], ["lfp", [1.0, 2.0, None]]]
)
def test_a_table_that_cannot_be_shown_is_refused(tmp_path: Path, row: list[Any]) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(kept_table(row)))
    with pytest.raises(RecordError, match="rows|expected"):
        collect("python -m benchmarks made", [file], None)


def test_a_study_of_convergence(tmp_path: Path) -> None:
    case = {
        "rule": "norm",
        "depth": "2-layers",
        "test_accuracy": {"value": 0.9, "low": 0.8, "high": 1.1},
        "start": [[0.1, -0.2], [0.3, None]],
        "end": [[0.5, 0.7], [0.3, 0.9]],
    }
    fall = {"rule": "norm", "depth": "2-layers", "difference": 0.4, "low": 0.1, "high": 0.7}
    found = {
        "machine": {"cores": 2, "threads of each": 1, "processes at a time": 1, "torch": "2.13.0"},
        "cases": [case, {**case, "rule": "pass", "test_accuracy": None}],
        "falls": [{**fall, "adjusted": 0.01}],
    }
    with pytest.raises(CollectError, match=r"results\.json is not there"):
        collect("lfp-snn convergence made", [tmp_path], (1.0, 2.0))
    (tmp_path / "results.json").write_text(json.dumps(found))
    record = collect("lfp-snn convergence made", [tmp_path], (1.0, 2.0))
    assert isinstance(record, TableRecord)
    assert record.machine.load == (1.0, 2.0)
    first, second = record.rows
    assert first == [
        "norm",
        "2-layers",
        pytest.approx([-0.2, 0.2]),  # the output first
        pytest.approx([0.8, 0.4]),
        [0.4, 0.1, 0.7],
        0.01,
        [90.0, 80.0, 100.0],
    ]
    assert second == ["pass", "2-layers", "failed", None, None, None, None]


def bench(**seconds: float) -> dict[str, Any]:
    """What a benchmark of steps leaves, without what no record takes."""
    facts = {"model": "mlp", "hidden": [16], "batch": 2, "steps": 4}
    medians = {name: {"median": median, "seconds": [median]} for name, median in seconds.items()}
    return {
        "machine": {
            "processor": "Some processor",
            "cores": 2,
            "threads": 1,
            "load": 0.25,
            "versions": {"torch": "2.13.0"},
        },
        "steps": {
            "mlp": {**facts, "load": [0.1, 1.3], "seconds": medians, "left_out": {"peer": "no"}}
        },
        "memory": {**facts, "bytes": {"ours": 2**21}, "left_out": {}},
    }


def test_steps_of_several_toolkits(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(bench(ours=0.0125, other=0.125)))
    record = collect("python -m benchmarks steps", [tmp_path], None)
    assert isinstance(record, StepsRecord)
    assert record.machine.load == (0.1, 1.3)
    times, sizes = record.rows
    assert (times.network, times.unit) == ("mlp 16, batch 2, T=4", "ms")
    assert times.values == {"ours": 12.5, "other": 125.0}
    assert times.left_out == {"peer": "no"}
    assert (sizes.unit, sizes.values) == ("MiB", {"ours": 2.0})


def test_steps_without_a_figure_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(bench(ours=0.0)))
    with pytest.raises(RecordError, match="expected a figure above 0 for each"):
        collect("python -m benchmarks steps", [tmp_path], None)


def test_an_unfinished_comparison_is_refused(tmp_path: Path) -> None:
    folder = comparison_folder(tmp_path, {"lfp": [0.9]})
    (folder / "results.json").unlink()
    with pytest.raises(CollectError, match=r"results\.json is not there: .* run its command again"):
        collect("lfp-snn compare made", [folder], None)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", 0, 0.9)
    (folder / "result.json").unlink()
    with pytest.raises(CollectError, match=r"result\.json is not there"):
        collect("lfp-snn train made", [folder], None)


def test_runs_that_differ_in_more_than_the_seed_are_refused(tmp_path: Path) -> None:
    folders = [run_folder(tmp_path / str(seed), seed, 0.9, batch_size=seed) for seed in (0, 1)]
    with pytest.raises(CollectError, match="differ in batch_size"):
        collect("lfp-snn train made", folders, None)


def test_what_is_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="expected the folder of a comparison"):
        collect("lfp-snn compare made", [tmp_path], None)


@pytest.mark.parametrize("accuracy", [98.0, float("nan"), "0.9 or so", None])
def test_what_no_measurement_gives_is_refused(tmp_path: Path, accuracy: Any) -> None:
    folder = comparison_folder(tmp_path, {"lfp": [accuracy]})
    with pytest.raises(RecordError, match="test"):
        collect("lfp-snn compare made", [folder], None)


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    folder = comparison_folder(tmp_path, {"lfp": [0.9]})
    found = folder / "results.json"
    whole = found.read_text()
    for damaged, said in (
        (whole[:100], "results.json"),
        ("[]", "damaged"),
        (whole.replace('"cells"', '"calls"'), "no 'cells'"),
    ):
        found.write_text(damaged)
        with pytest.raises(LfpSnnError, match=said):
            collect("lfp-snn compare made", [folder], None)


@pytest.mark.parametrize("load", [(2.0, 1.0), (-1.0, 1.0), (0.0, float("nan"))])
def test_a_load_that_is_none_is_refused(tmp_path: Path, load: tuple[float, float]) -> None:
    folder = comparison_folder(tmp_path, {"lfp": [0.9]})
    with pytest.raises(CollectError, match="--load is .*; expected the lowest load, then the high"):
        collect("lfp-snn compare made", [folder], load)
