"""Early stopping, the best checkpoints and loggers: right, and right after a restart."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError, Interrupted, NetworkError
from lfp_snn.models import build
from lfp_snn.training import (
    BestCheckpoints,
    CSVLogger,
    EarlyStopping,
    Observer,
    StepReport,
    TensorBoardLogger,
    WandbLogger,
    fit,
)
from tests.training.conftest import CLASSES, UNITS


def new_net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


class Told:
    """A training that only tells what it was told."""

    folder = None

    def __init__(self) -> None:
        self.metrics: list[dict[str, Any]] = []
        self.reasons: list[str] = []
        self.kept = 0.0

    def weights(self) -> dict[str, Tensor]:
        return {"weight": torch.tensor([self.kept])}

    def stop(self, reason: str) -> None:
        self.reasons.append(reason)

    def tell(self, observer: Observer, score: float | None) -> None:
        epoch = len(self.metrics) + 1
        self.kept = float(epoch)
        self.metrics.append({"epoch": epoch, "val_accuracy": score, "firing": {"1": 0.5}})
        observer.epoch_ended(self.metrics[-1])


def attached(observer: Observer) -> Told:
    training: Any = Told()
    observer.attached(training)
    return training  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("scores", "options", "stops"),
    [
        ([0.1, 0.2, 0.2, 0.2], {"patience": 2}, 4),
        ([0.1, 0.2, 0.2, 0.3, 0.3, 0.1], {"patience": 2}, 6),
        ([0.1, 0.15, 0.25, 0.3], {"patience": 2, "min_delta": 0.1}, None),
        ([0.1, 0.15, 0.18], {"patience": 2, "min_delta": 0.1}, 3),
        ([0.3, 0.2, 0.3, 0.1, 0.2, 0.1], {"patience": 2, "mode": "min"}, 6),
        ([0.1, 0.2, 0.3, 0.4], {"patience": 1}, None),
    ],
)
def test_stops_when_nothing_becomes_better(
    scores: list[float], options: dict[str, Any], stops: int | None
) -> None:
    observer = EarlyStopping(**options)
    training = attached(observer)
    for number, score in enumerate(scores, 1):
        training.tell(observer, score)
        assert bool(training.reasons) == (number == stops), number


def test_early_stopping_ends_a_training(
    tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    settings |= {"epochs": 9, "optimizer": {"lr": 1e-12}}
    early = EarlyStopping("val_accuracy", patience=2, min_delta=0.01)
    run = tmp_path / "run"
    result = fit(new_net(), splits, out=run, observers=[early], **settings)
    assert len(result.metrics) == 3
    assert any("has not become better for 2 epochs" in each for each in result.warnings)
    again = fit(new_net(), splits, out=run, resume=True, observers=[early], **settings)
    assert len(again.metrics) == 3


def test_keeps_the_best_epochs(tmp_path: Path) -> None:
    observer = BestCheckpoints(2, folder=tmp_path / "top")
    training = attached(observer)
    for score in (0.3, 0.5, 0.1, 0.5, 0.4):
        training.tell(observer, score)
    kept = {path.name: float(load_file(path)["weight"]) for path in (tmp_path / "top").iterdir()}
    assert kept == {"epoch-0002.safetensors": 2.0, "epoch-0004.safetensors": 4.0}


class Press(Observer):
    def stepped(self, report: StepReport) -> None:
        if report.step == 16:  # in the third epoch
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_stopped_keeps_and_logs_the_same(
    tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    def observers() -> list[Observer]:
        return [BestCheckpoints(2, "reward", "min"), CSVLogger()]

    straight, run = tmp_path / "straight", tmp_path / "run"
    result = fit(new_net(), splits, out=straight, observers=observers(), **settings)
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[*observers(), Press()], **settings)
    fit(new_net(), splits, out=run, observers=observers(), resume=True, **settings)
    tops = [sorted((each / "checkpoints" / "top").iterdir()) for each in (straight, run)]
    assert [path.name for path in tops[0]] == [path.name for path in tops[1]]
    for one, other in zip(*tops, strict=True):
        assert all(torch.equal(load_file(one)[k], v) for k, v in load_file(other).items())
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert len(rows) == len(result.metrics) == 4
    for row, metrics in zip(rows, result.metrics, strict=True):
        assert float(row["reward"]) == metrics["reward"]
        assert float(row["firing.1"]) == metrics["firing"]["1"]


def test_tensorboard_has_every_number(
    tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = fit(
        new_net(), splits, out=tmp_path / "run", observers=[TensorBoardLogger()], **settings
    )
    log = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"val_accuracy", "reward", "firing/1"} <= set(log.Tags()["scalars"])
    told = [(each.step, each.value) for each in log.Scalars("reward")]
    assert told == [(m["epoch"], pytest.approx(m["reward"])) for m in result.metrics]


def test_what_cannot_be_is_told(splits: Splits, settings: dict[str, Any]) -> None:
    for make in (lambda: EarlyStopping(patience=0), lambda: BestCheckpoints(0),
                 lambda: EarlyStopping(mode="best")):  # type: ignore[arg-type]  # fmt: skip
        with pytest.raises(ConfigError, match="expected"):
            make()
    with pytest.raises(ConfigError, match="looks at 'los', but.*expected one of.*reward"):
        fit(new_net(), splits, observers=[EarlyStopping("los")], **settings)
    for observer in (CSVLogger(), BestCheckpoints()):
        with pytest.raises(ConfigError, match="no place to write to"):
            fit(new_net(), splits, observers=[observer], **settings)


def test_without_tensorboard_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.errors.find_spec", lambda name: None)
    with pytest.raises(NetworkError, match=r"pip install 'lfp_snn\[tensorboard\]'"):
        TensorBoardLogger()


class FakeRun:
    """A run of Weights & Biases that keeps what it is given."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.id = options.get("id", "new")
        self.options = options
        self.logged: dict[int, dict[str, Any]] = {}
        self.finished = False

    def log(self, values: dict[str, Any], step: int) -> None:
        assert step not in self.logged
        self.logged[step] = values

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb_runs(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    """The runs that a module in the place of Weights & Biases was asked for."""
    runs: list[FakeRun] = []

    def init(**options: Any) -> FakeRun:
        runs.append(FakeRun(options))
        return runs[-1]

    fake = ModuleType("wandb")
    fake.__spec__ = ModuleSpec("wandb", None)
    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return runs


def test_wandb_has_every_number(
    wandb_runs: list[FakeRun], splits: Splits, settings: dict[str, Any]
) -> None:
    logger = WandbLogger("spikes", mode="offline")
    assert wandb_runs == []
    result = fit(new_net(), splits, observers=[logger], **settings)
    (run,) = wandb_runs
    assert run.options == {"project": "spikes", "mode": "offline"}
    assert run.finished
    assert list(run.logged) == [1, 2, 3, 4]
    for metrics in result.metrics:
        told = run.logged[metrics["epoch"]]
        assert told["val_accuracy"] == metrics["val_accuracy"]
        assert told["firing/1"] == metrics["firing"]["1"]
    without = fit(new_net(), splits.train, observers=[WandbLogger("spikes")], **settings)
    assert without.metrics[0]["val_accuracy"] is None
    assert "val_accuracy" not in wandb_runs[1].logged[1]


def test_wandb_goes_on_in_the_same_run(
    wandb_runs: list[FakeRun], tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[WandbLogger("spikes"), Press()], **settings)
    noted = json.loads((run / "wandb.json").read_text())
    assert noted == {"id": "new", "logged": 2}
    # As if it had been killed between the checkpoint of the second epoch and its line in the log.
    (run / "wandb.json").write_text(json.dumps({"id": "abc", "logged": 1}))
    fit(new_net(), splits, out=run, resume=True, observers=[WandbLogger("spikes")], **settings)
    first, second = wandb_runs
    assert first.options["dir"] == second.options["dir"] == str(run)
    assert (second.options["id"], second.options["resume"]) == ("abc", "allow")
    assert list(first.logged) == [1, 2]
    assert list(second.logged) == [2, 3, 4]


def test_without_wandb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfp_snn.errors.find_spec", lambda name: None)
    with pytest.raises(NetworkError, match=r"pip install 'lfp_snn\[wandb\]'"):
        WandbLogger("spikes")
