"""A user's own optimizer and scheduler: what they make of the weights, and resuming with them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    LambdaLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError, Interrupted
from lfp_snn.models import build
from lfp_snn.training import Observer, StepReport, fit
from lfp_snn.training.configfile import read_mapping
from lfp_snn.training.plain import from_plain, to_plain
from tests.training.conftest import CLASSES, UNITS, make_splits

STEPS = 7  # of an epoch


def new_net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


def weights(net: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(net.parameters()).detach()


@pytest.fixture
def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without an optimizer."""
    del settings["optimizer"]
    return settings


class Rates(Observer):
    """The rate after every step; presses Ctrl-C in one of them."""

    def __init__(self, optimizer: torch.optim.Optimizer, stop: int | None = None) -> None:
        self.optimizer = optimizer
        self.stop = stop
        self.seen: list[float] = []

    def stepped(self, report: StepReport) -> None:
        self.seen.append(float(self.optimizer.param_groups[0]["lr"]))
        if report.step == self.stop:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_optimizer_in_every_form_trains_alike(splits: Splits, plain: dict[str, Any]) -> None:
    nets = [new_net() for _ in range(4)]
    named = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
    fit(nets[0], splits, optimizer=named, schedule={"name": "constant"}, **plain)
    fit(nets[1], splits, optimizer=SGD(nets[1].parameters(), 0.05, momentum=0.9), **plain)
    fit(nets[2], splits, optimizer=lambda p: SGD(p, 0.05, momentum=0.9), **plain)
    fit(nets[3], splits, optimizer=lambda p: SGD(p, 0.1, momentum=0.9), **plain)
    first, *others = (weights(net) for net in nets)
    for other in others[:2]:
        torch.testing.assert_close(first, other)
    assert not torch.allclose(first, others[2])


def test_parameters_that_the_optimizer_lacks_stay(splits: Splits, plain: dict[str, Any]) -> None:
    net = new_net()
    last = [each for each in net if isinstance(each, nn.Linear)][-1]
    before = {name: each.clone() for name, each in net.state_dict().items()}
    fit(net, splits, optimizer=AdamW(last.parameters(), 0.01), **{**plain, "calibrate": None})
    moved = {name for name, each in net.state_dict().items() if not torch.equal(each, before[name])}
    assert moved == {"2.weight", "2.bias"}


SCHEDULERS: dict[str, tuple[Any, Any]] = {
    "step": (lambda o: StepLR(o, 1, 0.5), lambda n: 0.1 * 0.5 ** (n // STEPS)),
    "several": (
        lambda o: MultiStepLR(o, [1, 3], 0.1),
        lambda n: 0.1 * 0.1 ** sum(n >= each * STEPS for each in (1, 3)),
    ),
    "function": (lambda o: LambdaLR(o, lambda e: 1 / (1 + e)), lambda n: 0.1 / (1 + n // STEPS)),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_goes_by_epochs(name: str, splits: Splits, plain: dict[str, Any]) -> None:
    make, expected = SCHEDULERS[name]
    net = new_net()
    optimizer = SGD(net.parameters(), 0.1)
    rates = Rates(optimizer)
    fit(net, splits, optimizer=optimizer, scheduler=make(optimizer), observers=[rates], **plain)
    assert rates.seen == pytest.approx([expected(n) for n in range(4 * STEPS)])


def test_one_cycle_goes_by_steps(splits: Splits, plain: dict[str, Any]) -> None:
    net = new_net()
    optimizer = SGD(net.parameters(), 0.1)
    scheduler = OneCycleLR(optimizer, 0.1, total_steps=4 * STEPS + 1, cycle_momentum=False)
    rates = Rates(optimizer)
    fit(net, splits, optimizer=optimizer, scheduler=scheduler, observers=[rates], **plain)
    assert max(rates.seen) == pytest.approx(0.1, rel=0.02)
    assert rates.seen.index(max(rates.seen)) in (6, 7, 8)
    assert rates.seen[-1] < 0.001


def test_every_step_if_asked(splits: Splits, plain: dict[str, Any]) -> None:
    net = new_net()
    optimizer = SGD(net.parameters(), 0.1)
    rates = Rates(optimizer)
    fit(
        net, splits, optimizer=optimizer, scheduler=lambda o: StepLR(o, 1, 0.9),
        scheduler_every="step", observers=[rates], **plain,
    )  # fmt: skip
    assert rates.seen == pytest.approx([0.1 * 0.9 ** (n + 1) for n in range(4 * STEPS)])


def test_a_plateau_looks_at_the_validation_accuracy(plain: dict[str, Any]) -> None:
    def plateau(optimizer: torch.optim.Optimizer) -> LRScheduler:
        return ReduceLROnPlateau(optimizer, mode="max", patience=0, factor=0.5)

    net = new_net()
    optimizer = SGD(net.parameters(), 0.1)
    plain["learner"] = {"name": "step_gradient"}  # which is zero: nothing becomes better
    result = fit(net, make_splits(), optimizer=optimizer, scheduler=plateau, **plain)
    assert [each["lr"] for each in result.metrics] == pytest.approx([0.1, 0.1, 0.05, 0.025])
    with pytest.raises(ConfigError, match="nothing validates"):
        fit(new_net(), make_splits().train, scheduler=plateau, **plain)


@pytest.mark.parametrize("name", ["step", "several", "function", "plateau"])
def test_a_run_goes_on_with_the_same_bits(
    name: str, tmp_path: Path, splits: Splits, plain: dict[str, Any]
) -> None:
    def given(net: nn.Module) -> dict[str, Any]:
        optimizer = AdamW(net.parameters(), 0.03)
        if name == "plateau":
            return {
                "optimizer": optimizer,
                "scheduler": ReduceLROnPlateau(optimizer, "max", 0.5, patience=0),
            }
        return {"optimizer": optimizer, "scheduler": SCHEDULERS[name][0](optimizer)}

    straight, stopped, resumed = new_net(), new_net(), new_net()
    fit(straight, splits, **given(straight), **plain)
    own = given(stopped)
    run, press = tmp_path / "run", Rates(own["optimizer"], stop=2 * STEPS + 3)
    with pytest.raises(Interrupted):
        fit(stopped, splits, out=run, observers=[press], **own, **plain)
    written = read_mapping(run / "config.yaml")
    assert written["optimizer"] == {"name": "own", "kind": "AdamW", "lr": 0.03,
                                    "weight_decay": 0.01}  # fmt: skip
    assert written["schedule"]["kind"].endswith("LR") or name == "plateau"
    with pytest.raises(ConfigError, match=r"optimizer"):
        fit(new_net(), splits, out=run, resume=True, **plain)
    fit(resumed, splits, out=run, resume=True, **given(resumed), **plain)
    assert torch.equal(weights(straight), weights(resumed))


def test_what_does_not_fit_is_told(splits: Splits, plain: dict[str, Any]) -> None:
    net, other = new_net(), new_net()
    foreign: Any = [
        ({"optimizer": SGD(other.parameters(), 0.1)}, "none of the network"),
        ({"optimizer": lambda p: 3}, "The optimizer is a int"),
        ({"optimizer": {"name": "adm"}}, "did you mean adam"),
        ({"scheduler": lambda o: 3}, "The scheduler is a int"),
        ({"scheduler": "cosine"}, r"The scheduler is a str; .*lambda optimizer: StepLR\(optimizer"),
        ({"scheduler": StepLR}, "StepLR cannot be made of the optimizer alone.*'step_size'"),
        ({"optimizer": torch.nn.Linear}, "Linear cannot be made of the parameters alone"),
        ({"scheduler": StepLR(SGD(other.parameters(), 0.1), 1)}, "of another optimizer"),
        ({"scheduler_every": "step"}, "without a scheduler"),
        ({"optimizer": {"name": "own", "kind": "AdamW"}}, "give it again"),
        ({"callbacks": []}, "observers="),
    ]
    for given, told in foreign:
        with pytest.raises(ConfigError, match=told):
            fit(net, splits, **given, **plain)


def test_what_is_no_optimizer_is_told(splits: Splits, plain: dict[str, Any]) -> None:
    settings = {key: value for key, value in plain.items() if key != "optimizer"}
    with pytest.raises(ConfigError, match=r"optimizer is 'adam'; expected .*'name': 'adam'"):
        fit(new_net(), splits, optimizer="adam", **settings)  # type: ignore[arg-type]


def test_plain_values_come_back() -> None:
    value = {"best": float("inf"), "milestones": {3: 1, 7: 2}, "nested": [{"a": -float("inf")}],
             "text": "x", "none": None, "flag": True}  # fmt: skip
    assert from_plain(json.loads(json.dumps(to_plain(value), allow_nan=False))) == value
