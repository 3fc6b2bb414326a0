"""Several sessions share a comparison: who does what, and what becomes of the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest

from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study import tuning as tuning_module
from lfp_snn.analysis.study.jobs import Job, run_jobs
from lfp_snn.analysis.study.resources import Resources, resources
from lfp_snn.analysis.study.search import search_all
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.state import State
from lfp_snn.analysis.study.store import Store, claim
from lfp_snn.analysis.study.tuning import Tuning, run_trial, session_name
from lfp_snn.analysis.study.workspace import workspace
from lfp_snn.errors import ConfigError, RunError
from tests.analysis.study.tiny import COMPARE, Told, write


@pytest.fixture
def arm(tmp_path: Path) -> Arm:
    """Of a budget of two trials."""
    arm, *_ = ComparisonStudy.load(write(tmp_path, compare=COMPARE), []).arms
    return arm


def test_what_is_claimed_is_free_again_when_the_file_is_closed(tmp_path: Path) -> None:
    held = claim(tmp_path / "claims" / "a")
    assert held is not None
    assert claim(tmp_path / "claims" / "a") is None
    held.close()
    again = claim(tmp_path / "claims" / "a")
    assert again is not None
    again.close()


def test_a_trial_of_a_living_session_is_left_alone(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, "journal")
    mine, others = Tuning(arm, store), Tuning(arm, store)
    trial = others._optuna.ask()
    mine.give_up_interrupted()  # it has just begun, and may not have been claimed yet
    assert (mine.remaining(), mine.free()) == (2, 1)
    monkeypatch.setattr(tuning_module, "YOUNG", timedelta())
    held = store.claim_trial(arm.name, trial.number)
    assert held is not None
    mine.give_up_interrupted()
    assert (mine.remaining(), mine.free()) == (2, 1)
    held.close()  # as if its process had died
    mine.give_up_interrupted()
    assert (mine.remaining(), mine.free()) == (2, 2)
    assert (tmp_path / "tuning.log").is_file()


def test_a_dead_process_of_this_session_counts_and_a_dead_session_does_not(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = Tuning(arm, Store(tmp_path, "journal"))
    tuning._optuna.ask().set_user_attr("session", session_name(os.getpid()))
    tuning._optuna.ask().set_user_attr("session", "elsewhere-1")
    tuning.fail_open("its process died")
    assert (tuning.remaining(), tuning.free()) == (1, 0)
    assert tuning.failed() == ["its process died"]
    monkeypatch.setattr(tuning_module, "YOUNG", timedelta())
    tuning.give_up_interrupted()
    assert (tuning.remaining(), tuning.free()) == (1, 1)


def test_no_more_trials_than_the_budget(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(loaded: optuna.Study, trial: optuna.Trial, _arm: Arm) -> None:
        loaded.tell(trial, 0.5)

    monkeypatch.setattr(tuning_module, "_try", train)
    store = Store(tmp_path, "journal")
    tuning = Tuning(arm, store)
    for _ in range(4):  # as if sessions had counted at the same time
        run_trial(arm, store)
    assert len(tuning.spent()) == 2
    assert tuning.remaining() == 0


def test_jobs_of_others_are_left_out(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as lock:
        job = Job("cell", {}, tmp_path / "job.json", lambda: None)
        assert run_jobs([job], 2, lock=lock, watch=lambda _: None, ended=lambda _: None) == []
    assert not (tmp_path / "job.json").exists()


def test_a_folder_is_shared_by_those_alone_who_share(tmp_path: Path) -> None:
    with workspace(tmp_path / "out", {"a": 1}, shared=True):
        with workspace(tmp_path / "out", {"a": 1}, shared=True):
            pass
        with (
            pytest.raises(RunError, match="in use by process .*--storage"),
            workspace(tmp_path / "out", {"a": 1}),
        ):
            pass


def test_a_storage_that_is_none_is_named(arm: Arm, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="'nowhere' cannot be opened.*expected 'journal'"):
        Tuning(arm, Store(tmp_path, "nowhere"))
    assert Store(tmp_path, "sqlite:///x").name("lfp") == f"{tmp_path.name}/lfp"


def test_torchrun_is_for_single_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match="without torchrun"):
        resources(1, 1)


@pytest.mark.slow
def test_two_sessions_do_everything_once(tmp_path: Path) -> None:
    every: Any = COMPARE["learners"]
    section = {**COMPARE, "learners": {"lfp": every["lfp"]}}
    config, out = write(tmp_path, compare=section), tmp_path / "out"
    program = "from lfp_snn.cli import main; main()"
    command = [sys.executable, "-c", program, "compare", str(config), "--seeds", "2", "--threads"]
    command += ["1", "--storage", "journal", "--out", str(out)]
    sessions = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    told = [session.communicate(timeout=900)[0] for session in sessions]
    assert [session.returncode for session in sessions] == [0, 0], told
    lines = [line for each in told for line in each.splitlines()]
    (arm,) = ComparisonStudy.load(config, []).arms
    assert len(Tuning(arm, Store(out, "journal")).spent()) == 2
    for seed in range(2):
        assert SeedRun(out, "lfp", seed).finished
        assert sum(line.startswith(f"lfp, seed {seed}: test") for line in lines) == 1


def test_a_search_waits_for_the_trials_of_others(
    arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, "journal")
    others = Tuning(arm, store)
    trials = [others._optuna.ask() for _ in range(2)]
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        trial = trials.pop()
        trial.suggest_float("optimizer.lr", 1e-3, 1e-2, log=True)
        others._optuna.tell(trial, 0.25 + len(trials))

    monkeypatch.setattr("lfp_snn.analysis.study.search.time.sleep", sleep)
    states = {arm.name: State(arm.name)}
    with (tmp_path / "lock").open("wb") as lock:
        search_all([arm], tmp_path, Resources(1, 1, "journal"), lock, states, Told())
    assert len(waited) == 2
    assert states[arm.name].best == 1.25
    assert not states[arm.name].failed
