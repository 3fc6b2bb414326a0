"""Fitting on data of torch: the same training as on the built-in path, and what is refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lfp_snn import TemporalLFP, calibrate, published
from lfp_snn.data import Batch, SampleSet, Splits
from lfp_snn.errors import ConfigError, DataError, Interrupted, NetworkError, ShapeError
from lfp_snn.models import build
from lfp_snn.rules import EpsilonPlusFlat
from lfp_snn.spikes import Spikes
from lfp_snn.training import Observer, StepReport, fit
from lfp_snn.training.feeding import outputs_of
from tests.training.conftest import CLASSES, STEPS, UNITS

PARTS = ("train", "val", "test")


def new_net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


def dense(part: SampleSet) -> tuple[Tensor, Tensor]:
    """Frames ``[B, T, units]`` and labels of a part."""
    batch = part.batch(range(len(part)))
    assert isinstance(batch.x, Spikes)
    return batch.x.dense().transpose(0, 1), batch.labels


def weights(net: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(net.parameters()).detach()


def _given(splits: Splits, how: str) -> list[Any]:
    parts = [dense(getattr(splits, name)) for name in PARTS]
    if how == "arrays":
        return parts
    if how == "time first":
        return [(x.transpose(0, 1), labels) for x, labels in parts]
    return [TensorDataset(x, labels) for x, labels in parts]


@pytest.mark.parametrize("how", ["arrays", "time first", "datasets"])
def test_trains_as_on_splits(how: str, splits: Splits, settings: dict[str, Any]) -> None:
    built_in, own = new_net(), new_net()
    expected = fit(built_in, splits, **settings)
    found = fit(own, *_given(splits, how), **settings)
    assert torch.equal(weights(built_in), weights(own))
    assert found.test_accuracy == expected.test_accuracy > 0.8
    assert found.confusion == expected.confusion
    assert found.classes == ["0", "1", "2"]


def test_a_loader_has_its_batches(splits: Splits, settings: dict[str, Any]) -> None:
    train, val, test = _given(splits, "datasets")
    loader = DataLoader(train, 7, shuffle=True)
    with pytest.raises(ConfigError, match="leave batch_size out"):
        fit(new_net(), loader, val, test, **settings)
    del settings["batch_size"]
    result = fit(new_net(), loader, DataLoader(val, 4), DataLoader(test, 4), **settings)
    assert result.metrics[0]["step"] == 6  # of 7 samples each
    assert result.test_accuracy > 0.6


class Noisy(Dataset[Any]):
    """Samples that lose units at random each time they are read."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, number: int) -> Any:
        x, label = self.inner[number]
        return x * (torch.rand_like(x) < 0.8), label


class Stop(Observer):
    """Presses Ctrl-C in a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_on_a_loader_goes_on_with_the_same_bits(
    tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    train, val, test = _given(splits, "datasets")
    del settings["batch_size"]

    def parts() -> list[Any]:
        return [DataLoader(Noisy(train), 6, shuffle=True), val, test]

    straight, resumed = new_net(), new_net()
    fit(straight, *parts(), **settings)
    with pytest.raises(Interrupted):
        fit(new_net(), *parts(), out=tmp_path / "run", observers=[Stop(11)], **settings)
    torch.rand(5)  # what was drawn in the meantime does not matter
    fit(resumed, *parts(), out=tmp_path / "run", resume=True, **settings)
    assert torch.equal(weights(straight), weights(resumed))


def test_constant_currents(settings: dict[str, Any]) -> None:
    torch.manual_seed(1)
    labels = torch.arange(60) % CLASSES
    x = torch.rand(60, UNITS) / 4 + nn.functional.one_hot(labels, UNITS) * 2.0
    result = fit(new_net(), (x, labels), test=(x, labels), steps=STEPS, **settings)
    assert result.test_accuracy > 0.8
    with pytest.raises(DataError, match="no time axis: give the number of time steps"):
        fit(build("mlp", (4, 5), 3), (x.view(60, 4, 5), labels), **settings)


def test_without_validation_and_test(
    tmp_path: Path, splits: Splits, settings: dict[str, Any]
) -> None:
    (train, *_) = _given(splits, "datasets")
    result = fit(new_net(), train, out=tmp_path / "run", **{**settings, "epochs": 1})
    assert result.samples == {"train": 42, "val": 0, "test": 0}
    assert result.test_accuracy != result.test_accuracy and result.confusion == []
    assert any(message.startswith("Nothing tests") for message in result.warnings)
    assert any(message.startswith("Nothing validates") for message in result.warnings)


def test_time_in_the_wrong_place_is_told(splits: Splits, settings: dict[str, Any]) -> None:
    x, labels = dense(splits.train)
    with pytest.raises(DataError, match=r"axis 2 is time.*x\.movedim\(2, 1\)"):
        fit(new_net(), (x.movedim(1, 2), labels), **settings)
    with pytest.raises(DataError, match="axis 1 is time; expected it first"):
        fit(new_net(), TensorDataset(x.movedim(1, 2), labels), **settings)
    with pytest.raises(DataError, match="frames of \\(19,\\), which the network does not take"):
        fit(new_net(), (x[..., :19], labels), **settings)
    square, named = x[:STEPS], labels[:STEPS]
    with pytest.raises(DataError, match="say which with layout"):
        fit(new_net(), (square, named), **settings)
    fit(new_net(), (square, named), layout="BT", **{**settings, "epochs": 1})


def test_splits_have_all_parts(splits: Splits, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave test out"):
        fit(new_net(), splits, test=splits.test, **settings)
    with pytest.raises(ConfigError, match="leave steps out"):
        fit(new_net(), splits, steps=3, **settings)


def test_outputs_are_those_of_the_network() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 4, 7)
    )
    before = {name: value.clone() for name, value in net.state_dict().items()}
    outputs = outputs_of(net)
    assert outputs((2, 6, 6)) == 7
    for frame in ((3, 6, 6), (2, 7, 7), (6, 6)):
        with pytest.raises(ShapeError):
            outputs(frame)
    assert net.training and all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    with pytest.raises(NetworkError):
        outputs_of(nn.Sequential(nn.Linear(2, 2), nn.Softplus(), nn.LSTM(2, 2)))


def test_calibrate_takes_a_tensor(splits: Splits) -> None:
    batch = splits.train.batch(range(20))
    assert isinstance(batch.x, Spikes)
    nets = [new_net() for _ in range(3)]
    given: list[Batch | Tensor | Spikes] = [batch, batch.x, batch.x.dense()]
    factors = [
        calibrate(TemporalLFP(net), each, 0.1) for net, each in zip(nets, given, strict=True)
    ]
    assert factors[0] == factors[1] == factors[2]
    current = torch.rand(20, UNITS)
    constant = calibrate(TemporalLFP(new_net()), current, 0.1, steps=STEPS)
    repeated = calibrate(TemporalLFP(new_net()), current.expand(STEPS, 20, UNITS), 0.1)
    assert constant == pytest.approx(repeated)


class Looping(nn.Module):
    """Two layers of snntorch that loop over steps of their own, in one of three layouts."""

    def __init__(self, layout: str, steps: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layout, self.steps = layout, steps
        self.hidden, self.out = nn.Linear(UNITS, 12), nn.Linear(12, CLASSES)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = []
        for t in range(self.steps):
            frame = x if self.layout == "constant" else x[t] if self.layout == "TB" else x[:, t]
            spikes, first = self.lif1(self.hidden(frame), first)
            spikes, second = self.lif2(self.out(spikes), second)
            record.append(spikes)
        return torch.stack(record)


@pytest.mark.parametrize("layout", ["TB", "BT", "constant"])
def test_a_loop_over_a_number_of_steps_takes_data_with_as_many(
    layout: str, splits: Splits, settings: dict[str, Any]
) -> None:
    parts = [dense(getattr(splits, name)) for name in PARTS]
    if layout == "constant":
        parts = [(x.mean(1), labels) for x, labels in parts]
    net = Looping(layout, STEPS)
    found = fit(net, *parts, **settings)
    assert found.test_accuracy > 0.6
    assert found.classes == ["0", "1", "2"]


@pytest.mark.parametrize("outputs", [CLASSES - 1, CLASSES + 2])
@pytest.mark.parametrize("learner", ["lfp", "surrogate"])
def test_outputs_that_are_not_the_classes_of_splits_are_told(
    splits: Splits, settings: dict[str, Any], learner: str, outputs: int
) -> None:
    net = build("mlp", (UNITS,), outputs, hidden=[4])
    told = rf"^The network has {outputs} outputs, but the data has {CLASSES} classes: give it one"
    with pytest.raises(DataError, match=told):
        fit(net, splits, **{**settings, "learner": {"name": learner}})


def test_outputs_that_no_sample_of_ones_own_is_of_are_warned_of(
    splits: Splits, settings: dict[str, Any]
) -> None:
    short = {**settings, "epochs": 1, "calibrate": None}
    for given in _given(splits, "arrays")[0], TensorDataset(*_given(splits, "arrays")[0]):
        wide = build("mlp", (UNITS,), CLASSES + 2, hidden=[4])
        (told,) = [w for w in fit(wide, given, **short).warnings if "outputs" in w]
        assert told.startswith("The network has 5 outputs, but no training sample has a label abov")
    assert not any("outputs" in w for w in fit(new_net(), given, **short).warnings)


def test_steps_beside_a_time_axis_are_told(splits: Splits, settings: dict[str, Any]) -> None:
    x, labels = _given(splits, "arrays")[0]
    with pytest.raises(DataError, match=rf"steps is 3, but inputs .* {STEPS} time steps.*leave st"):
        fit(new_net(), (x, labels), steps=3, **settings)


def test_targets_for_inputs_without_time_are_learnt(settings: dict[str, Any]) -> None:
    net = nn.Sequential(
        nn.Linear(4, 2),
        snn.Leaky(beta=0.9, init_hidden=True, output=True, threshold=float("inf"),
                  reset_mechanism="none"),
    )  # fmt: skip
    chosen = {"learner": {"reward": {"name": "membrane_target"}}, "calibrate": None, "epochs": 1}
    data = torch.rand(8, 4), torch.eye(2)[torch.arange(8) % 2]
    assert fit(net, data, steps=3, **{**settings, **chosen}).metrics[0]["train_accuracy"] is None
    with pytest.raises(ConfigError, match=r"labels.argmax\(1\) of one-hot rows"):
        fit(build("mlp", (4,), 2, hidden=[3]), data, steps=3, **{**settings, "calibrate": None})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (TemporalLFP, r"call fit\(lfp.net, ...\)\.$"),
        (published, r"fit\(lfp.net, ..., rule=lfp.rule\)\.$"),
        (partial(TemporalLFP, rule=EpsilonPlusFlat()), r", rule=lfp.rule\)\.$"),
    ],
)
def test_an_engine_in_the_place_of_its_network_is_told(
    make: Callable[[nn.Module], Any], told: str, splits: Splits
) -> None:
    with pytest.raises(ConfigError, match=told):
        fit(make(new_net()), splits)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            (torch.rand(8, UNITS), torch.zeros(8).long()),
            r"is a Tensor.* fit\(net, \(x, labels\)\)",
        ),
        (({"x": torch.rand(8, UNITS)},), "The data is a dict; expected a torch Dataset"),
        (("digits",), "The data is a str"),
        ((None,), "The train part: The data is a NoneType"),
        (
            ([torch.rand(8, UNITS), torch.zeros(8).long()],),
            r"list of two arrays.*fit\(net, \(x, lab",
        ),
        (
            ([(torch.rand(8, UNITS), torch.zeros(8).long())] * 2,),
            "a list of batches, each of 8 samples; expected single samples: give the DataLoader",
        ),
        (((torch.zeros(0, UNITS), torch.zeros(0).long()),), "There are no labels, and so no sampl"),
    ],
)
def test_what_is_no_data_is_told(given: tuple[Any, ...], told: str) -> None:
    with pytest.raises(DataError, match=told):
        fit(new_net(), *given, steps=3)


def test_what_is_no_network_that_learns_is_told(splits: Splits) -> None:
    for net, told in (
        (new_net, r"not <function new_net.*: call it, new_net\(\)"),
        (new_net().requires_grad_(False), "Sequential has no parameter that learns"),
    ):
        given: Any = net
        with pytest.raises(ConfigError, match=told):
            fit(given, splits)


def test_a_loss_is_told_that_there_is_a_reward(splits: Splits) -> None:
    for name in ("loss", "criterion"):
        asked: dict[str, Any] = {name: nn.CrossEntropyLoss()}
        with pytest.raises(ConfigError, match=r"did you mean reward=lfp_snn.rewards.FromLoss\("):
            fit(new_net(), splits, **asked)
