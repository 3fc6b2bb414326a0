"""Whole comparisons, in processes of their own, on a handful of DVS-digits."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from lfp_snn.analysis.compare import session
from lfp_snn.analysis.compare.plan import load_comparison, load_sweep
from lfp_snn.analysis.compare.results import Results
from lfp_snn.analysis.compare.run import Resources, State
from lfp_snn.analysis.compare.store import Store
from lfp_snn.analysis.compare.tuning import Tuning
from lfp_snn.cli.compare import Screen
from lfp_snn.errors import RunError

BASE: dict[str, Any] = {
    "name": "tiny",
    "device": "cpu",
    "data": {"name": "digits", "steps": 6, "train": 60},
    "model": {"name": "mlp", "hidden": [16]},
    "epochs": 2,
    "batch_size": 20,
    "clip": None,
}
LR = {"optimizer.lr": {"low": 1e-3, "high": 1e-2, "log": True}}
COMPARE = {
    "search": {"trials": 2, "epochs": 1},
    "target": 0.1,
    "learners": {
        "lfp": {"tune": LR},
        "surrogate": {"tune": LR},
        # Feedback that overflows: every cell of this learner fails.
        "broken": {"learner": "surrogate", "set": {"optimizer.lr": 1e38}},
    },
}


class Told:
    """Keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def changed(self, states: Sequence[Any]) -> None: ...

    def told(self, line: str) -> None:
        self.lines.append(line)


def write(folder: Path, **section: Any) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**BASE, **section}, sort_keys=False))
    return path


def compare(config: Path, out: Path, seeds: int = 2) -> tuple[Results, list[str]]:
    comparison, studies = load_comparison(config, [])
    told = Told()
    results, report = session.compare(
        comparison, studies, seeds, out, Resources(2, 1), told, "tiny"
    )
    assert report.is_file()
    return results, told.lines


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Results, list[str]]:
    folder = tmp_path_factory.mktemp("compare")
    config = write(folder, compare=COMPARE)
    return (config, folder / "out", *compare(config, folder / "out"))


def test_everyone_starts_alike_and_is_measured(
    done: tuple[Path, Path, Results, list[str]],
) -> None:
    _, _, results, _ = done
    assert results.same_start()
    for name in ("lfp", "surrogate"):
        learner = results.learner(name)
        assert [cell["seed"] for cell in learner.cells] == [0, 1]
        assert learner.trials == 2 and set(learner.values) == {"optimizer.lr"}
        for cell in learner.cells:
            assert cell["synaptic_operations"] < cell["dense_operations"]
            assert cell["step_s"] > 0 and cell["peak_bytes"] > 0 and cell["spikes"] > 0
            assert 0 <= cell["updates"]["zeros"] <= 1
    assert set(results.differences) == {"surrogate"}


def test_a_learner_that_crashes_is_reported_and_the_rest_goes_on(
    done: tuple[Path, Path, Results, list[str]],
) -> None:
    _, _, results, told = done
    broken = results.learner("broken")
    assert list(broken.cells) == []
    assert set(broken.failed) == {"seed 0", "seed 1"}
    assert all("not finite" in reason for reason in broken.failed.values())
    assert sum("broken, seed" in line for line in told) == 2


def test_nothing_that_is_finished_runs_again(
    done: tuple[Path, Path, Results, list[str]],
) -> None:
    config, out, results, _ = done
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*/cell.json")}
    report = (out / "results.json").read_text()
    again, told = compare(config, out)
    assert len(before) == 4
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert {line.partition(":")[0] for line in told if "seed" in line} == {
        "broken, seed 0 failed",
        "broken, seed 1 failed",
    }
    assert again.to_json() == results.to_json()
    assert json.loads((out / "results.json").read_text()) == json.loads(report)


def test_work_is_counted_in_epochs() -> None:
    assert State("lfp", (2, 8), (1, 5), (6, 12)).work() == (24, 108)


def test_the_table_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, file=io.StringIO())
    screen = Screen(console)
    clock = iter((100.0, 130.0))
    monkeypatch.setattr("lfp_snn.cli.compare.time.monotonic", lambda: next(clock))
    state = State("lfp", (0, 4), (0, 0), (5, 5))
    assert screen._left([state]) == "time left: not known yet"
    state.trials = (1, 4)
    assert screen._left([state]) == "about 0:01:30 left"


def test_another_comparison_does_not_mix_in(
    done: tuple[Path, Path, Results, list[str]], tmp_path: Path
) -> None:
    _, out, _, _ = done
    other = {**COMPARE, "search": {"trials": 3, "epochs": 1}}
    with pytest.raises(RunError, match="another learner broken and learner lfp and learner surr"):
        compare(write(tmp_path, compare=other), out)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    with pytest.raises(RunError, match="is no comparison"):
        compare(write(tmp_path, compare=COMPARE), tmp_path / "taken")


def test_a_folder_in_use_is_refused(
    done: tuple[Path, Path, Results, list[str]],
) -> None:
    import fcntl

    config, out, _, _ = done
    with (out / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use by "):
            compare(config, out)


def test_interrupted_trials_are_tried_again_and_dead_ones_count(tmp_path: Path) -> None:
    _, (study, *_) = load_comparison(write(tmp_path, compare=COMPARE), [])
    tuning = Tuning(study, Store(tmp_path))
    trial = tuning._optuna.ask()
    value = trial.suggest_float("optimizer.lr", 1e-3, 1e-2, log=True)
    tuning.give_up_interrupted()
    assert tuning.remaining() == 2 and tuning.spent() == []
    again = tuning._optuna.ask()
    assert again.suggest_float("optimizer.lr", 1e-3, 1e-2, log=True) == value
    tuning.fail_open("its process died")
    assert tuning.remaining() == 1 and tuning.failed() == ["its process died"]
    with pytest.raises(RunError, match="No trial of 'lfp' was completed"):
        tuning.best()


def test_a_sweep_shows_what_matters(tmp_path: Path) -> None:
    tune = {**LR, "learner.rule.eps": [0.01, 0.1, 1.0]}
    section = {"search": {"trials": 6, "epochs": 2}, "tune": tune}
    study = load_sweep(write(tmp_path, sweep=section), [])
    values, best, report = session.sweep(study, tmp_path / "out", Resources(2, 1), Told(), "tiny")
    assert set(values) == set(tune) and 0 < best <= 1
    html = report.read_text()
    assert "learner.rule.eps" in html
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    if found["importance"]:
        assert sum(found["importance"].values()) == pytest.approx(1)
        assert (tmp_path / "out" / "figures" / "importance.png").is_file()
    trials = (tmp_path / "out" / "trials.csv").read_text().splitlines()
    assert len(trials) == 7


@pytest.mark.slow
def test_a_killed_comparison_goes_on_to_the_same_report(tmp_path: Path) -> None:
    """SIGKILL with the first cell done; what it did is kept, and accuracies end up the same."""
    learners = {name: COMPARE["learners"][name] for name in ("lfp", "surrogate")}  # type: ignore[index]
    config = write(tmp_path, compare={**COMPARE, "learners": learners}, epochs=6)

    def start(out: Path) -> subprocess.Popen[bytes]:
        code = "from lfp_snn.cli import main; main()"
        arguments = ["compare", str(config), "--seeds", "2", "--out", str(out)]
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=os.environ, stdout=subprocess.DEVNULL
        )

    assert start(tmp_path / "whole").wait() == 0
    killed = tmp_path / "killed"
    process = start(killed)
    while not list(killed.glob("cells/*/*/cell.json")):
        assert process.poll() is None
        time.sleep(0.2)
    time.sleep(3.0)  # into the next cell
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("cells/*/*/cell.json")}
    assert 0 < len(finished) < 4
    time.sleep(1.5)  # its processes notice
    assert start(killed).wait() == 0
    assert finished == {path: path.stat().st_mtime_ns for path in finished}
    one, two = (
        json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "whole", killed)
    )
    for name in learners:
        left, right = one["learners"][name], two["learners"][name]
        assert left["values"] == right["values"]
        assert left["test_accuracy"] == right["test_accuracy"]
    assert one["differences"] == two["differences"]
    assert one["conclusions"] == two["conclusions"]
