"""Whole comparisons on a handful of DVS-digits; one of them in processes of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from lfp_snn.analysis.compare.findings import ComparisonFindings, gather
from lfp_snn.analysis.compare.report import write_comparison
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.state import State
from lfp_snn.analysis.study.store import Store
from lfp_snn.analysis.study.tuning import Tuning
from lfp_snn.cli.study import Screen
from lfp_snn.errors import RunError
from tests.analysis.study.here import jobs_in_this_process
from tests.analysis.study.tiny import COMPARE, LR, TWO, carry_out, write

#: Config, folder, findings and lines of a comparison.
Done = tuple[Path, Path, ComparisonFindings, list[str]]


def compare(
    config: Path, out: Path, seeds: int = 2, using: Resources = TWO
) -> tuple[ComparisonFindings, list[str]]:
    study = ComparisonStudy.load(config, [])
    return carry_out(study, gather, write_comparison, out, seeds, using)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("compare")
    config = write(folder, compare=COMPARE)
    with jobs_in_this_process():
        return (config, folder / "out", *compare(config, folder / "out"))


def test_everyone_starts_alike_and_is_measured(
    done: Done,
) -> None:
    _, _, results, _ = done
    assert results.same_start()
    for name in ("lfp", "surrogate"):
        learner = results.learner(name)
        assert [cell["seed"] for cell in learner.measured] == [0, 1]
        assert learner.trials == 2 and set(learner.values) == {"optimizer.lr"}
        assert learner.settings["optimizer"]["lr"] == learner.values["optimizer.lr"]
        assert learner.settings["epochs"] == 2 and learner.trial_epochs == 1
        if name == "lfp":  # which the config leaves to what the network ends in
            assert learner.settings["learner"]["reward"]["name"] == "rate_coded"
        for cell in learner.measured:
            assert cell["synaptic_operations"] < cell["dense_operations"]
            assert cell["step_s"] > 0 and cell["peak_bytes"] >= 0 and cell["spikes"] > 0
            assert 0 <= cell["updates"]["zeros"] <= 1
    assert set(results.differences) == {"surrogate"}


def test_a_learner_that_crashes_is_reported_and_the_rest_goes_on(
    done: Done,
) -> None:
    _, _, results, told = done
    broken = results.learner("broken")
    assert list(broken.measured) == []
    assert set(broken.failed) == {"seed 0", "seed 1"}
    assert all("not finite" in reason for reason in broken.failed.values())
    assert sum("broken, seed" in line for line in told) == 2


@pytest.mark.usefixtures("jobs_here")
def test_nothing_that_is_finished_runs_again(
    done: Done,
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


def test_a_comparison_that_the_version_before_began_goes_on(
    repository: Path, tmp_path: Path
) -> None:
    """Search and first seed of lfp are done; the seed of surrogate is all that is left."""
    out = tmp_path / "out"
    shutil.copytree(repository / "tests" / "golden" / "half_done_comparison", out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    section = {"search": COMPARE["search"], "learners": {"lfp": {"tune": LR}, "surrogate": {}}}
    config = write(tmp_path, compare=section)
    findings, told = compare(config, out, 1, Resources(1, 1, "journal"))
    started = [line.partition(":")[0] for line in told]
    assert started == ["lfp", "surrogate, seed 0"]
    assert not findings.failures
    lfp = findings.learner("lfp")
    assert (lfp.trials, lfp.tuned, lfp.values) == (
        2,
        0.135,
        {"optimizer.lr": 0.0020241010005225993},
    )
    assert lfp.measured[0]["test_accuracy"] == 0.11335012594458438
    assert len(findings.learner("surrogate").measured) == 1
    after = {path: path.read_bytes() for path in before}
    assert {path.name for path in before if before[path] != after[path]} <= {"tuning.log"}


def test_work_is_counted_in_epochs() -> None:
    assert State("lfp", (2, 8), (1, 5), (6, 12)).work() == (24, 108)


def test_the_table_tells_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=100, file=io.StringIO())
    screen = Screen(console)
    clock = iter((100.0, 130.0))
    monkeypatch.setattr("lfp_snn.cli.study.time.monotonic", lambda: next(clock))
    state = State("lfp", (0, 4), (0, 0), (5, 5))
    assert screen._left([state]) == "time left: not known yet"
    state.trials = (1, 4)
    assert screen._left([state]) == "about 0:01:30 left"


def test_another_comparison_does_not_mix_in(done: Done, tmp_path: Path) -> None:
    _, out, _, _ = done
    other = {**COMPARE, "search": {"trials": 3, "epochs": 1}}
    with pytest.raises(RunError, match=r"another study.*search\.trials is 2 there and 3 here"):
        compare(write(tmp_path, compare=other), out)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    with pytest.raises(RunError, match="is no folder of a study"):
        compare(write(tmp_path, compare=COMPARE), tmp_path / "taken")


def test_a_folder_in_use_is_refused(
    done: Done,
) -> None:
    import fcntl

    config, out, _, _ = done
    with (out / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="in use by "):
            compare(config, out)


def test_interrupted_trials_are_tried_again_and_dead_ones_count(tmp_path: Path) -> None:
    arm, *_ = ComparisonStudy.load(write(tmp_path, compare=COMPARE), []).arms
    tuning = Tuning(arm, Store(tmp_path))
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
