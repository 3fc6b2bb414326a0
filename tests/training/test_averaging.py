"""The moving average of weights: torch's, and what a training does with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError
from lfp_snn.models import build
from lfp_snn.training import Observer, Settings, StepReport, TrainedRun, evaluate, fit
from lfp_snn.training.averaging import Average
from lfp_snn.training.checkpoint import copy_tensors, load_checkpoint
from lfp_snn.training.configfile import make_config
from lfp_snn.training.files import read_json
from lfp_snn.training.observer import Watched
from tests.training.conftest import CLASSES, UNITS

DECAY = 0.8


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


def normed() -> nn.Module:
    torch.manual_seed(0)
    layers = [{"linear": 12}, "batchnorm", "lif", {"linear": CLASSES}, "lif"]
    return build("layers", (UNITS,), CLASSES, layers=layers)


def test_it_is_the_average_of_torch() -> None:
    net = plain()
    average = Average(net, DECAY)
    torchs: Any = get_ema_multi_avg_fn(DECAY)  # type: ignore[no-untyped-call]
    theirs = AveragedModel(net, multi_avg_fn=torchs, use_buffers=True)
    for step in range(6):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        net(torch.randn(5, 4))  # moves the statistics
        average.follow()
        theirs.update_parameters(net)
        expected = theirs.module.state_dict()
        with average.in_place():
            for name, tensor in net.state_dict().items():
                if name != "1.num_batches_tracked":
                    assert torch.equal(tensor, expected[name]), name
            assert int(net.state_dict()["1.num_batches_tracked"]) == step + 1


def test_the_weights_come_back_whatever_happens_in_between() -> None:
    net = plain()
    average = Average(net, DECAY)
    average.follow()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    before, places = copy_tensors(net.state_dict()), [p.data_ptr() for p in net.parameters()]
    with pytest.raises(KeyboardInterrupt), average.in_place():
        assert not torch.equal(next(net.parameters()), before["0.weight"])
        raise KeyboardInterrupt
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert [p.data_ptr() for p in net.parameters()] == places


def test_without_a_decay_or_a_step_there_is_none() -> None:
    net = plain()
    none, fresh = Average(net, None), Average(net, DECAY)
    before = copy_tensors(net.state_dict())
    with torch.no_grad():
        next(net.parameters()).add_(1)
    none.follow()
    for average in (none, fresh):
        with average.in_place():
            assert torch.equal(next(net.parameters()), before["0.weight"] + 1)
    assert none.state_dict() == {} and none.tensors() == []
    with pytest.raises(KeyError, match="but got"):
        none.load_state_dict(fresh.state_dict())
    with pytest.raises(KeyError, match="but got"):
        fresh.load_state_dict({})


def test_it_goes_on_as_if_never_stopped() -> None:
    one, two = plain(), plain()
    first, second = Average(one, DECAY), Average(two, DECAY)
    first.follow()
    with torch.no_grad():
        next(one.parameters()).add_(1)
    first.follow()
    second.load_state_dict(first.state_dict())
    two.load_state_dict(one.state_dict())
    first.follow()
    second.follow()
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), second.tensors(), strict=True))


class Noting(Observer):
    """Averages the weights by hand after each step, and notes what each epoch was judged by."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.average: dict[str, Tensor] = {}
        self.judged: list[dict[str, Tensor]] = []

    def attached(self, training: Watched) -> None:
        self.training = training

    def stepped(self, report: StepReport) -> None:
        for name, now in self.net.named_parameters():
            before = self.average.get(name, now.detach())
            self.average[name] = DECAY * before + (1 - DECAY) * now.detach()

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        weights = self.training.weights()
        for name, tensor in self.average.items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-5, atol=1e-6)
        self.judged.append(weights)


def test_the_average_is_validated_kept_and_ends_in_the_network(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    net = normed()
    noting = Noting(net)
    given = {**settings, "ema": DECAY}
    result = fit(net, splits, out=tmp_path / "run", observers=[noting], **given)
    best = noting.judged[result.best_epoch - 1]
    kept, _ = load_checkpoint(tmp_path / "run/checkpoints/best.safetensors")
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, kept[name]) and torch.equal(tensor, best[name])
    assert read_json(tmp_path / "run/run.json")["settings"]["ema"] == DECAY
    opened = TrainedRun.open(tmp_path / "run", net=normed, data=lambda: splits)
    assert opened.evaluate().accuracy == result.test_accuracy
    for weights, metrics in zip(noting.judged, result.metrics, strict=True):
        opened.learner.net.load_state_dict(weights)
        assert evaluate(opened.learner, splits.val, 6).accuracy == metrics["val_accuracy"]


def test_learning_knows_nothing_of_it(splits: Splits, settings: dict[str, Any]) -> None:
    """The figures of training are those of a training without; the weights in the end are not."""
    nets = normed(), normed()
    one = fit(nets[0], splits, **settings)
    two = fit(nets[1], splits, **settings, ema=DECAY)
    for mine, theirs in zip(one.metrics, two.metrics, strict=True):
        for key in ("reward", "feedback_norm", "train_accuracy", "firing"):
            assert mine[key] == theirs[key]
    assert not torch.equal(nets[0].state_dict()["0.weight"], nets[1].state_dict()["0.weight"])


def test_a_run_does_not_go_on_with_another_average(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    fit(normed(), splits, out=tmp_path / "run", **{**settings, "epochs": 1}, ema=DECAY)
    with pytest.raises(ConfigError, match="ema"):
        fit(normed(), splits, out=tmp_path / "run", resume=True, **settings, ema=0.5)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_a_decay_lies_between_zero_and_one(decay: float) -> None:
    with pytest.raises(ConfigError, match="ema is"):
        make_config(Settings, {"ema": decay})
