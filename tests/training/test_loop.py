"""Training from Python: fit, and what the loop guarantees."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError, NetworkError, RunError
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.training import Interrupted, Observer, StepReport, evaluate, fit
from lfp_snn.training.checkpoint import load_checkpoint
from tests.training.conftest import CLASSES, UNITS, make_splits

TIMES = {"epoch_s", "wall_s"}


def new_net(seed: int = 0, **options: Any) -> nn.Sequential:
    torch.manual_seed(seed)
    return build("mlp", (UNITS,), CLASSES, hidden=[12], **options)


def weights(net: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def timeless(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: line[key] for key in line if key not in TIMES} for line in lines]


class Stop(Observer):
    """Does something after a given step."""

    def __init__(self, step: int, action: Any) -> None:
        self.step = step
        self.action = action

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            self.action()


class Listener(Observer):
    """Notes all it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.warnings: list[str] = []

    def started(self, report: StepReport) -> None:
        self.heard.append(("started", report.step, report.steps))

    def stepped(self, report: StepReport) -> None:
        self.heard.append(report.step)

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        self.heard.append(("epoch", metrics["epoch"]))

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def testing(self) -> None:
        self.heard.append("testing")


def test_it_learns(net: nn.Module, splits: Splits, settings: dict[str, Any]) -> None:
    result = fit(net, splits, **{**settings, "epochs": 8})
    assert result.test_accuracy > 0.9
    assert result.samples == {"train": 42, "val": 15, "test": 15}
    assert sum(map(sum, result.confusion)) == 15
    assert sum(result.confusion[c][c] for c in range(3)) == round(15 * result.test_accuracy)
    assert [line["epoch"] for line in result.metrics] == [*range(1, 9)]
    assert [line["step"] for line in result.metrics] == [*range(7, 57, 7)]
    assert set(result.firing) == {"1", "3"}
    assert result.run is None


def test_the_same_seed_gives_the_same_net_and_another_seed_another(
    splits: Splits, settings: dict[str, Any]
) -> None:
    nets = [new_net() for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        fit(net, splits, **{**settings, "epochs": 1, "seed": seed})
    assert same(weights(nets[0]), weights(nets[1]))
    assert not same(weights(nets[0]), weights(nets[2]))


def test_the_callers_random_numbers_are_untouched(
    net: nn.Module, splits: Splits, settings: dict[str, Any]
) -> None:
    before = torch.get_rng_state()
    fit(net, splits, **{**settings, "epochs": 1})
    assert torch.equal(torch.get_rng_state(), before)


def test_the_net_ends_with_the_best_weights_of_equal_ones_the_latest(
    net: nn.Module, splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    result = fit(net, splits, out=tmp_path / "run", **settings)
    accuracies = [line["val_accuracy"] for line in result.metrics]
    assert result.best_epoch == max(n for n, a in enumerate(accuracies, 1) if a == max(accuracies))
    assert result.val_accuracy == max(accuracies)
    best, state = load_checkpoint(tmp_path / "run/checkpoints/best.safetensors")
    assert state == {"epoch": result.best_epoch, "accuracy": result.val_accuracy}
    assert all(torch.equal(best[name], p) for name, p in net.named_parameters())
    learner = LFP(net, *_rule_and_reward())
    assert evaluate(learner, splits.val, 6).accuracy == result.val_accuracy


def _rule_and_reward() -> tuple[Any, Any]:
    from lfp_snn.rewards import RateCoded
    from lfp_snn.rules import Epsilon

    return Epsilon(0.1), RateCoded()


def test_the_test_set_is_looked_at_once(
    net: nn.Module, splits: Splits, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    inner = type(splits.test).batch

    def batch(self: Any, indices: Any, draw: Any = None) -> Any:
        if self is splits.test:
            seen.extend(indices)
        return inner(self, indices, draw)

    monkeypatch.setattr(type(splits.test), "batch", batch)
    fit(net, splits, **settings)
    assert sorted(seen) == list(range(15))


def test_patience_stops_early(net: nn.Module, splits: Splits, settings: dict[str, Any]) -> None:
    frozen = {**settings, "epochs": 30, "patience": 3, "optimizer": {"lr": 1e-12}}
    result = fit(net, splits, **frozen)
    assert [line["epoch"] for line in result.metrics] == [1, 2, 3, 4]
    assert result.best_epoch == 4, "equal to the first, and the latest"


def test_feedback_is_clipped_to_the_norm(
    net: nn.Module, splits: Splits, settings: dict[str, Any]
) -> None:
    norms = []

    def note() -> None:
        total = sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None)
        norms.append(math.sqrt(total))

    tight = {**settings, "epochs": 1, "clip": 1e-3}
    result = fit(net, splits, observers=[Stop(n, note) for n in range(1, 8)], **tight)
    assert max(norms) <= 1e-3 * (1 + 1e-4)
    assert result.metrics[0]["clipped"] == 1.0
    assert result.metrics[0]["feedback_norm"] > 1e-3
    loose = fit(new_net(), splits, **{**settings, "epochs": 1, "clip": None})
    assert loose.metrics[0]["clipped"] == 0.0


def test_observers_hear_everything_in_order(
    net: nn.Module, splits: Splits, settings: dict[str, Any]
) -> None:
    listener = Listener()
    fit(net, splits, observers=[listener], **{**settings, "epochs": 2})
    first, second = [*range(1, 8)], [*range(8, 15)]
    expected = [("started", 0, 14), *first, ("epoch", 1), *second, ("epoch", 2), "testing"]
    assert listener.heard == expected


def test_silent_and_saturated_layers_are_named_once(settings: dict[str, Any]) -> None:
    listener = Listener()
    plain = {**settings, "calibrate": None, "epochs": 2, "optimizer": {"lr": 1e-9}}
    silent = new_net(scale=1e-4)
    result = fit(silent, make_splits(), observers=[listener], **plain)
    assert [message[:16] for message in listener.warnings] == [
        "Layer '1' is dea",
        "Layer '3' is dea",
    ]
    assert result.warnings == listener.warnings
    lively = new_net(reset="none")
    with torch.no_grad():
        for parameter in lively.parameters():
            parameter.abs_().add_(1)
    result = fit(lively, make_splits(), **plain)
    assert all("saturated" in message for message in result.warnings)
    assert len(result.warnings) == 2


def test_calibration_that_fails_leaves_no_run(splits: Splits, tmp_path: Path) -> None:
    net: Any = new_net()
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    with pytest.raises(NetworkError, match="stays silent"):
        fit(net, splits, out=tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [False, True])
def test_feedback_that_is_not_finite_is_told_with_its_layer(
    net: Any, splits: Splits, settings: dict[str, Any], tmp_path: Path, out: bool
) -> None:
    def poison() -> None:
        with torch.no_grad():
            net[2].weight[0, 0] = math.nan

    run = tmp_path / "run" if out else None
    with pytest.raises(RunError, match=r"not finite|NaN") as caught:
        fit(net, splits, out=run, observers=[Stop(10, poison)], **settings)
    assert "epoch 2, step 11" in str(caught.value)
    if run:
        tensors, state = load_checkpoint(run / "checkpoints/last.safetensors")
        assert state["progress"]["epoch"] == 1
        assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())


def test_a_run_directory_holds_what_it_should(
    net: nn.Module, splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "deep" / "run"
    result = fit(net, splits, out=run, **settings)
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {
        "config.yaml",
        "run.json",
        "metrics.jsonl",
        "result.json",
        "sample.npz",
        ".lock",
        "checkpoints/step-21.safetensors",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    }
    written = json.loads((run / "result.json").read_text())
    assert written["test_accuracy"] == result.test_accuracy
    assert {"val_accuracy", "seed", "wall_s", "train_s", "confusion", "classes"} <= set(written)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert lines == result.metrics
    info = json.loads((run / "run.json").read_text())
    assert info["data"]["source"] == "made up for the tests"
    assert set(info["calibration"]) == {"1", "3"}
    assert info["versions"]["torch"] == torch.__version__


def test_nothing_is_overwritten(
    net: nn.Module, splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("precious")
    with pytest.raises(RunError, match="exists already.* with out, or .* with resume=True"):
        fit(net, splits, out=tmp_path / "run", **settings)
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "mine"]


def test_a_full_disk_ends_the_run_with_the_last_checkpoint_intact(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = tmp_path / "run"
    every = {**settings, "checkpoint_every": 2}
    observer = Stop(10, lambda: monkeypatch.setattr(os, "fsync", full))
    with pytest.raises(RunError, match="No space left on device"):
        fit(new_net(), splits, out=run, observers=[observer], **every)
    monkeypatch.undo()
    assert not list((run / "checkpoints").glob(".*"))
    _, state = load_checkpoint(run / "checkpoints/last.safetensors")
    assert state["progress"]["step"] == 9  # batch 2 of epoch 2

    resumed, straight = new_net(1), new_net()
    fit(resumed, splits, out=run, resume=True, **every)
    fit(straight, splits, **every)
    assert same(weights(resumed), weights(straight))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 7, 10])
def test_a_signal_saves_and_resuming_gives_the_same_bits(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, signum: signal.Signals, step: int
) -> None:
    run = tmp_path / "run"
    handler = signal.getsignal(signum)
    kill = Stop(step, lambda: os.kill(os.getpid(), signum))
    net = nn.Sequential(nn.Dropout(0.1), *new_net())
    with pytest.raises(Interrupted, match=f"step {step} .*resume=True") as caught:
        fit(net, splits, out=run, observers=[kill], **settings)
    assert caught.value.signum == signum
    assert signal.getsignal(signum) is handler
    _, state = load_checkpoint(run / "checkpoints/last.safetensors")
    assert state["progress"]["step"] == step

    resumed = nn.Sequential(nn.Dropout(0.1), *new_net(5))
    second = fit(resumed, splits, out=run, resume=True, **settings)
    straight = nn.Sequential(nn.Dropout(0.1), *new_net())
    first = fit(straight, splits, **settings)
    assert same(weights(resumed), weights(straight))
    assert timeless(second.metrics) == timeless(first.metrics)
    assert second.confusion == first.confusion


def test_torn_and_surplus_metrics_are_dropped_on_resume(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    stop = Stop(9, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[stop], **settings)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "val_accuracy": 0.0}\n{"epoch": 3, "val_acc')
    result = fit(new_net(), splits, out=run, resume=True, **settings)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert lines == result.metrics


def test_a_run_killed_before_its_first_checkpoint_begins_anew(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    stop = Stop(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=run, observers=[stop], **settings)
    (run / "checkpoints/last.safetensors").unlink()
    resumed, straight = new_net(), new_net()
    fit(resumed, splits, out=run, resume=True, **settings)
    fit(straight, splits, **settings)
    assert same(weights(resumed), weights(straight))


def test_resuming_a_finished_run_returns_its_result(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    first = fit(new_net(), splits, out=tmp_path / "run", **settings)
    before = (tmp_path / "run/result.json").read_bytes()
    assert fit(new_net(), splits, out=tmp_path / "run", resume=True, **settings) == first
    assert (tmp_path / "run/result.json").read_bytes() == before


def test_resuming_needs_the_run_and_its_settings(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="needs the run directory"):
        fit(new_net(), splits, resume=True, **settings)
    with pytest.raises(RunError, match=r"no config\.yaml"):
        fit(new_net(), splits, out=tmp_path, resume=True, **settings)
    fit(new_net(), splits, out=tmp_path / "run", **settings)
    with pytest.raises(ConfigError, match="has batch_size: 6, but 9 is asked for"):
        fit(new_net(), splits, out=tmp_path / "run", resume=True, **{**settings, "batch_size": 9})


def test_unknown_settings_are_named(net: nn.Module, splits: Splits) -> None:
    with pytest.raises(ConfigError, match="epoch is no known argument, did you mean epochs=3"):
        fit(net, splits, epoch=3)


@pytest.mark.parametrize("adapt", ["bias", "threshold"])
def test_homeostasis_resumes_with_the_same_bits(
    splits: Splits, settings: dict[str, Any], tmp_path: Path, adapt: str
) -> None:
    homeostasis = {"adapt": adapt, "target": 0.3, "rate": 0.2}
    settings = {**settings, "learner": {"name": "lfp", "homeostasis": homeostasis}}
    kill = Stop(7, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        fit(new_net(), splits, out=tmp_path / "run", observers=[kill], **settings)
    resumed, straight, without = new_net(5), new_net(), new_net()
    fit(resumed, splits, out=tmp_path / "run", resume=True, **settings)
    fit(straight, splits, **settings)
    fit(without, splits, **{**settings, "learner": {"name": "lfp"}})
    ended, expected, plain = (
        list(net.state_dict().values()) for net in (resumed, straight, without)
    )
    assert same(ended, expected)
    assert not same(expected, plain)
