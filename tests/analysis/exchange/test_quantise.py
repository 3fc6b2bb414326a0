from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP
from lfp_snn.analysis.exchange.integer import IntegerNetwork
from lfp_snn.analysis.exchange.quantise import QuantisedLFP, quantise
from lfp_snn.data import Batch
from lfp_snn.engine.copying import copy_of
from lfp_snn.engine.fixed import FixedPointLeaky
from lfp_snn.errors import DataError, NetworkError, ShapeError
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.models import build
from tests.analysis.exchange.networks import INPUT, leaky, network, trains

RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]


class Merges(nn.Module):
    """Branches in different units that meet, pools of both kinds, and a normalisation."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.lif1 = leaky(**options)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.lif2 = leaky(**options)
        self.mean, self.most = nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1)
        self.conv3 = nn.Conv2d(8, 4, 3, stride=2)
        self.lif3 = leaky(**options)
        self.fc, self.out = nn.Linear(16, 10), leaky(output=True, **options)

    def forward(self, x: torch.Tensor) -> Any:
        a = self.lif1(self.norm(self.conv1(x)))
        b = self.lif2(self.conv2(a) + a)
        c = torch.cat([self.mean(a) - self.mean(b), torch.maximum(self.mean(a), self.most(b))], 1)
        return self.out(self.fc(self.lif3(self.conv3(c)).flatten(1)))


def _net(kind: str, reset: str = "subtract", delay: bool = True) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module
    if kind == "merges":
        net = Merges(reset_mechanism=reset, reset_delay=delay)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(2)
        net(torch.rand(8, *INPUT))  # moves the running statistics
    else:
        size = INPUT if kind == "mlp" else (2, 16, 16)
        options: dict[str, Any] = {"hidden": [20]} if kind == "mlp" else {"pool": kind}
        name = "mlp" if kind == "mlp" else "csnn"
        net = build(name, size, 10, scale=3.0, reset=reset, reset_delay=delay, **options)
    return net.eval()


@pytest.mark.parametrize("kind", ["mlp", "avg", "max", "merges"])
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_the_torch_network_is_that_in_integers_bit_by_bit(
    kind: str, reset: str, delay: bool
) -> None:
    net = _net(kind, reset, delay)
    x = torch.poisson(trains(net, steps=15, batch=4) * 0.8)  # counts of events
    x = x if kind != "merges" else trains(net)
    quantised = quantise(net, x.shape[2:])
    with quantised.on_grid() as on_grid:
        spikes = TemporalLFP(on_grid, backend="torch").forward(x)
    expected = quantised.integer().run(x.numpy())
    assert 0 < expected.mean() < 1
    assert np.array_equal(spikes.numpy(), expected)


@pytest.mark.parametrize("kind", ["mlp", "avg", "merges"])
def test_it_does_nearly_what_the_network_did(kind: str) -> None:
    net = _net(kind)
    x = trains(net, steps=20, batch=16)
    spikes = quantise(net, x.shape[2:]).integer().run(x.numpy())
    rates = spikes.mean(0) - TemporalLFP(net).forward(x).numpy().mean(0)
    assert np.abs(rates).mean() < 0.05


def test_what_is_exported_is_small_and_whole(tmp_path: Path) -> None:
    net = _net("merges")
    x = trains(net)
    integer = quantise(net, INPUT).integer({"classes": ["a"]})
    weights = {n: a for n, a in integer.arrays.items() if n.endswith(".weight")}
    assert len(weights) == 4
    assert all(a.dtype == np.int8 and 63 <= np.abs(a).max() <= 127 for a in weights.values())
    assert all(a.dtype == np.int32 for n, a in integer.arrays.items() if n not in weights)
    path = tmp_path / "net.npz"
    path.write_bytes(integer.to_bytes())
    again = IntegerNetwork.load(path)
    assert (again.stages, again.info) == (integer.stages, integer.info)
    assert np.array_equal(again.run(x.numpy()), integer.run(x.numpy()))


def test_no_floating_point_number_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value that a step passes on is int64."""
    seen = []
    value = IntegerNetwork._value

    def watched(*args: object) -> object:
        result = value(*args)  # type: ignore[arg-type]
        seen.append(result.dtype)
        return result

    monkeypatch.setattr(IntegerNetwork, "_value", watched)
    net = _net("merges")
    quantise(net, INPUT).integer().run(trains(net, steps=2).numpy())
    assert set(seen) == {np.dtype(np.int64)} and len(seen) > 20


def test_membranes_by_hand() -> None:
    """One neuron: weight 100/64, decay 0.5, in units of 2^-12; rounding is towards zero."""
    net: Any = nn.Sequential(nn.Linear(1, 1), leaky(beta=0.5, threshold=10.0, output=True))
    with torch.no_grad():
        net[0].weight.fill_(-100 / 64)
        net[0].bias.fill_(1 / 64)
    quantised = quantise(net, (1,))
    assert quantised.integer().arrays["0.weight"] == -100
    neuron = quantised.net.get_submodule("1")
    assert isinstance(neuron, FixedPointLeaky) and neuron.fraction == 12
    with quantised.on_grid() as on_grid, torch.no_grad():
        membranes = [float(on_grid(torch.tensor([[float(t == 0)]]))[1]) * 2**12 for t in range(3)]
    first = -99 * 64
    assert membranes == [first, first // 2 + 64, -((-(first // 2 + 64)) // 2) + 64]


def test_membranes_saturate() -> None:
    net: Any = nn.Sequential(nn.Linear(1, 1), leaky(beta=1.0, threshold=1.0, output=True,
                                               reset_mechanism="none"))  # fmt: skip
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.zero_()
    quantised = quantise(net, (1,))
    x = torch.full((200, 1, 1), 1000.0)
    with quantised.on_grid() as on_grid:
        engine = TemporalLFP(on_grid, backend="torch")
        spikes = engine.forward(x)
    neuron: Any = quantised.net.get_submodule("1")
    assert float(engine.membranes[-1]) * 2**neuron.fraction == 2**23 - 1
    assert np.array_equal(quantised.integer().run(x.numpy()), spikes.numpy())


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(2, 3, 3), leaky(), nn.AvgPool2d(3), nn.Flatten(),
                       nn.Linear(27, 2), leaky(output=True)), "'2' .AvgPool2d.*2.k values"),
        (nn.Sequential(nn.Flatten(), nn.Linear(288, 2), leaky(threshold=1e9, output=True)),
         "threshold is too large"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_by_name(net: nn.Module, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        quantise(net, INPUT)


def test_fractions_and_wrong_files_are_refused(tmp_path: Path) -> None:
    net = _net("mlp")
    with pytest.raises(ShapeError, match="whole numbers"):
        quantise(net, INPUT).integer().run(np.full((1, 1, *INPUT), 0.5))
    (tmp_path / "wrong.npz").write_bytes(b"wrong")
    for name, message in (("absent.npz", "cannot be read"), ("wrong.npz", "is no network")):
        with pytest.raises(DataError, match=message):
            IntegerNetwork.load(tmp_path / name)


def test_fine_tuning_moves_the_masters_by_the_feedback_of_the_quantised_pass() -> None:
    net = _net("mlp")
    x = trains(net)
    quantised = quantise(net, INPUT)
    learner = QuantisedLFP(quantised, LFPOptions())
    weight: Any = quantised.net.get_submodule("1").weight
    with torch.no_grad():
        weight[0, 0] = 1e-4  # rounds to zero
    before = {n: p.clone() for n, p in quantised.net.named_parameters()}
    batch = Batch(x, torch.arange(6))
    learner.feedback(batch)
    assert all(torch.equal(p, before[n]) for n, p in quantised.net.named_parameters())
    assert float(weight.grad[0, 0].abs()) > 0
    assert np.array_equal(learner.counts(batch), quantised.integer().run(x.numpy()).sum(0))


@pytest.mark.parametrize("kind", ["recurrent", "synaptic"])
def test_neurons_with_more_state_are_refused_and_not_cut_short(kind: str) -> None:
    with pytest.raises(NetworkError, match=r"'1' .*no counterpart in integers: it is not known"):
        quantise(network(kind), INPUT)


class Looped(nn.Module):
    """A network of branches and pools that loops over time, with states by hand."""

    def __init__(self, of: Merges) -> None:
        super().__init__()
        for name, module in copy_of(of).named_children():
            setattr(self, name, module)
        for module in self.modules():
            if isinstance(module, snn.Leaky):
                module.init_hidden = module.output = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net: Any = self
        states: dict[str, Any] = {}
        total: Any = 0

        def fire(name: str, current: torch.Tensor) -> torch.Tensor:
            spk, states[name] = getattr(net, name)(current, states.get(name))
            return spk  # type: ignore[no-any-return]

        for frame in x.permute(1, 0, 2, 3, 4):
            a = fire("lif1", net.norm(net.conv1(frame)))
            b = fire("lif2", net.conv2(a) + a)
            most = torch.maximum(net.mean(a), net.most(b))
            c = torch.cat([net.mean(a) - net.mean(b), most], 1)
            d = fire("lif3", net.conv3(c))
            total = total + fire("out", net.fc(d.view(x.shape[0], -1)))
        return total  # type: ignore[no-any-return]


def test_a_loop_over_time_is_quantised_as_its_step() -> None:
    net: Any = _net("merges")
    looped, x = Looped(net).eval(), trains(net)
    plain, found = quantise(net, tuple(INPUT)), quantise(looped, tuple(INPUT))
    assert found.grids == plain.grids
    expected = plain.integer().run(x.numpy())
    assert expected.any()
    assert np.array_equal(found.integer().run(x.numpy()), expected)
    with found.on_grid() as rounded:
        spikes = TemporalLFP(rounded, backend="torch").forward(x)
    assert np.array_equal(spikes.numpy(), expected)
    assert all(not isinstance(module, FixedPointLeaky) for module in looped.modules())
