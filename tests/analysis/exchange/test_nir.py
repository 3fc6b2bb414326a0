from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import Spikes, TemporalLFP, fit
from lfp_snn.analysis.exchange.nir_export import meaning_lost, nir_bytes, to_nir
from lfp_snn.data import load
from lfp_snn.errors import NetworkError
from lfp_snn.models import build
from lfp_snn.models.nir import DT, load_nir
from tests.analysis.exchange.networks import INPUT, Residual, leaky, network, trains

nir = pytest.importorskip("nir", reason="the extra exchange is not installed")

RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]


def _round_trip(net: nn.Module, shape: tuple[int, ...], path: Path) -> nn.Module:
    path.write_bytes(nir_bytes(to_nir(net, shape)))
    return load_nir(path)


KINDS = ("mlp", "csnn", "residual", "recurrent", "one_to_one", "synaptic")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_spikes_are_the_same_after_a_round_trip(
    kind: str, reset: str, delay: bool, tmp_path: Path
) -> None:
    net = network(kind, reset=reset, reset_delay=delay)
    x = trains(net)
    again = _round_trip(net, tuple(x.shape[2:]), tmp_path / "net.nir")
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    # Folding a normalisation rounds; everything else comes back bit by bit.
    differing = (TemporalLFP(again).forward(x) != expected).float().mean()
    assert differing == 0 if kind != "residual" else differing < 0.002


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_recurrent_synaptic_neurons_come_back(reset: str, tmp_path: Path) -> None:
    """As the others, with the only delay of reset that snntorch's RSynaptic has."""
    net = network("synaptic_recurrent", reset=reset)
    x = trains(net)
    again = _round_trip(net, tuple(x.shape[2:]), tmp_path / "net.nir")
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    assert torch.equal(TemporalLFP(again).forward(x), expected)
    assert sum(isinstance(module, snn.RSynaptic) for module in again.modules()) == 3


def test_a_residual_architecture_that_is_described_in_a_config(tmp_path: Path) -> None:
    body = [{"conv": 4, "kernel": 3, "padding": 1}, "lif"]
    layers = [*body, {"residual": body, "merge": "sum"}, {"avgpool": 2}, "flatten", {"linear": 10}]
    torch.manual_seed(0)
    net = build("layers", INPUT, 10, layers=[*layers, "lif"], scale=3.0).eval()
    x = trains(net)
    again = _round_trip(net, INPUT, tmp_path / "net.nir")
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    assert torch.equal(TemporalLFP(again).forward(x), expected)


def test_constants_of_single_neurons_and_channels_come_back_exactly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        leaky(beta=torch.rand(3, 1, 1), threshold=torch.rand(3, 1, 1) + 0.5),
        nn.Flatten(),
        nn.Linear(300, 5),
        leaky(beta=torch.rand(5), threshold=1.7, output=True, reset_mechanism="none"),
    )
    again = _round_trip(net, INPUT, tmp_path / "net.nir")
    for old, new in zip(_neurons(net), _neurons(again), strict=True):
        assert new.beta.shape == old.beta.shape
        assert torch.equal(new.beta, old.beta)
        assert torch.equal(new.threshold, old.threshold)
        assert (new.reset_mechanism, new.reset_delay) == (old.reset_mechanism, old.reset_delay)
        assert new.output == old.output


def _neurons(net: nn.Module) -> list[snn.Leaky]:
    return [m for m in net.modules() if isinstance(m, snn.Leaky)]


def test_nodes_mean_what_nir_says() -> None:
    """Euler steps of the differential equations in the file give the membrane of the network."""
    net = nn.Sequential(nn.Linear(3, 2), leaky(output=True, reset_mechanism="none"))
    lif = to_nir(net, (3,)).nodes["1"]
    current = np.array([0.3, -0.2])
    v, w = np.zeros(2), np.zeros(2)
    for _ in range(5):
        v = v + DT / lif.tau * (lif.v_leak - v + lif.r * current)
        w = 0.875 * w + current
    assert np.allclose(v, w, atol=1e-12)
    assert (lif.v_threshold == 1).all() and (lif.v_reset == 0).all()


def test_neurons_that_do_not_leak_are_integrators(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), leaky(beta=1.0, output=True))
    graph = to_nir(net, (3,))
    assert isinstance(graph.nodes["1"], nir.IF)
    assert np.allclose(graph.nodes["1"].r * DT, 1)
    x = torch.rand(8, 4, 3) * 2
    again = _round_trip(net, (3,), tmp_path / "net.nir")
    assert torch.equal(TemporalLFP(again).forward(x), TemporalLFP(net).forward(x))


def readout(kind: str) -> nn.Module:
    """A network whose last neurons integrate and never spike."""
    torch.manual_seed(0)
    never = {"threshold": float("inf"), "reset_mechanism": "none", "init_hidden": True}
    last: nn.Module
    if kind == "CubaLI":
        last = snn.Synaptic(alpha=0.5, beta=0.875, output=True, **never)
    else:
        last = snn.Leaky(beta=1.0 if kind == "I" else 0.875, output=True, **never)
    return nn.Sequential(nn.Linear(6, 8), leaky(threshold=0.3), nn.Linear(8, 3), last)


@pytest.mark.parametrize("kind", ["LI", "I", "CubaLI"])
def test_a_readout_comes_back_with_its_membranes(kind: str, tmp_path: Path) -> None:
    net = readout(kind)
    x = (torch.rand(9, 4, 6) < 0.5).float()
    graph = to_nir(net, (6,))
    assert [type(node).__name__ for node in graph.nodes.values()].count(kind) == 1
    again = _round_trip(net, (6,), tmp_path / "net.nir")
    runs = TemporalLFP(net), TemporalLFP(again)
    for lfp in runs:
        assert lfp.is_readout and not lfp.forward(x).any()
    assert runs[0].membranes.abs().max() > 0.1
    assert torch.equal(runs[0].membranes, runs[1].membranes)
    # Nothing is lost in another simulator but the reset of the hidden neurons.
    (line,) = meaning_lost(net)
    assert "reset subtract" in line


def test_neurons_that_never_spike_are_refused_where_they_are_not_the_last() -> None:
    """They hand on zeros, where an LI hands on its membrane."""
    never = {"threshold": float("inf"), "reset_mechanism": "none", "init_hidden": True}
    hidden = nn.Sequential(nn.Linear(3, 2), snn.Leaky(beta=0.5, **never), nn.Linear(2, 2))
    with pytest.raises(NetworkError, match="'1', which never spikes"):
        to_nir(nn.Sequential(*hidden, leaky(output=True)), (3,))
    with pytest.raises(NetworkError, match="ends in values; end it in neurons"):
        to_nir(nn.Sequential(nn.Linear(3, 2), leaky(), nn.Linear(2, 2)), (3,))


def test_a_loop_of_neurons_that_never_spike_is_refused() -> None:
    never = {"threshold": float("inf"), "reset_mechanism": "none", "init_hidden": True}
    last = snn.RLeaky(beta=0.5, linear_features=2, output=True, **never)
    with pytest.raises(NetworkError, match="nothing goes round its loop"):
        to_nir(nn.Sequential(nn.Linear(3, 2), last), (3,))


def test_a_value_added_to_itself(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)
            self.lif = leaky(output=True)

        def forward(self, x: torch.Tensor) -> Any:
            current = self.fc(x)
            return self.lif(current + current)

    torch.manual_seed(0)
    net, x = Twice(), torch.rand(8, 4, 3) * 2
    again = _round_trip(net, (3,), tmp_path / "net.nir")
    assert torch.equal(TemporalLFP(again).forward(x), TemporalLFP(net).forward(x))


class Merged(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.fc, self.lif = nn.Linear(3, 2), leaky()
        self.fc2, self.out = nn.Linear(4 if how == "cat" else 2, 2), leaky(output=True)

    def forward(self, x: torch.Tensor) -> Any:
        a = self.lif(self.fc(x))
        if self.how == "cat":
            return self.out(self.fc2(torch.cat([a, a], 1)))
        if self.how == "maximum":
            return self.out(self.fc2(torch.maximum(a, a)))
        return self.out(self.fc2(a + 1))


def _synaptic(alpha: float, beta: float) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), snn.Synaptic(alpha, beta, init_hidden=True, output=True))


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (nn.Sequential(nn.Conv2d(2, 3, 3), leaky(), nn.MaxPool2d(2), nn.Flatten(),
                       nn.Linear(75, 2), leaky(output=True)), INPUT, "'2' .*no max pooling"),
        (nn.Sequential(nn.Conv2d(2, 3, 3), leaky(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                       nn.Linear(3, 2), leaky(output=True)), INPUT, "windows of a fixed size"),
        (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), leaky(output=True)), INPUT, "grouped"),
        (nn.Sequential(nn.Linear(3, 2), leaky(beta=torch.tensor([0.5, 1.0]), output=True)), (3,),
         "some of its neurons leak"),
        (nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), leaky(output=True)), (3,),
         "normalises what is not the current"),
        (_synaptic(alpha=0.5, beta=1.0), (3,), "CubaLIF always leaks"),
        (_synaptic(alpha=1.0, beta=0.5), (3,), "CubaLIF always leaks"),
        (nn.Sequential(nn.Conv2d(2, 4, 3),
                       snn.RLeaky(0.5, conv2d_channels=4, kernel_size=(3, 1), init_hidden=True,
                                  output=True)), INPUT, "rectangular"),
        (Merged("maximum"), (3,), "merge by a sum"),
        (Merged("cat"), (3,), "no concatenation"),
        (Merged("offset"), (3,), "cannot add a number"),
    ],
)  # fmt: skip
def test_what_nir_cannot_express_is_refused_by_name(
    net: nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        to_nir(net, shape)


def test_meaning_that_others_lose_is_told() -> None:
    assert meaning_lost(network("mlp", reset="zero", reset_delay=False)) == []
    (line,) = meaning_lost(Residual())
    assert "reset subtract, delayed" in line and "reset_mechanism='zero'" in line
    recurrent = network("recurrent", reset="zero", reset_delay=False)
    (line,) = meaning_lost(recurrent)
    assert "a bias in their loop" in line
    for module in recurrent.modules():
        if isinstance(module, snn.RLeaky):
            module.recurrent.bias = None
    assert meaning_lost(recurrent) == []


def _in_spikingjelly(path: Path, x: torch.Tensor) -> torch.Tensor:
    """Spikes ``[T, B, C]`` of another simulator that reads NIR; skips the test without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exchange = pytest.importorskip(
            "spikingjelly.activation_based.nir_exchange.from_nir",
            reason="no SpikingJelly that reads NIR (extra peers)",
            exc_type=ImportError,
        )
        net = exchange.import_from_nir(nir.read(path), dt=DT).eval()
        spikes, state = [], None
        with torch.no_grad():
            for frame in x:
                out, state = net(frame, state)
                spikes.append(out)
    return torch.stack(spikes)


@pytest.mark.parametrize("kind", ["mlp", "csnn", "recurrent", "synaptic"])
def test_another_simulator_gives_the_same_spikes(kind: str, tmp_path: Path) -> None:
    """With what NIR means: reset at once to zero, and what goes round arrives a step later."""
    # SpikingJelly fires at the threshold, NIR above it: one that no membrane meets exactly. Its
    # neurons are all alike, and a loop says nothing in its first step, not even a bias.
    net = network(kind, reset="zero", reset_delay=False, threshold=1.0003)
    for module in net.modules():
        if isinstance(module, snn.RLeaky | snn.Synaptic):
            module.beta = torch.tensor(0.875)
        if isinstance(module, snn.Synaptic):
            module.alpha = torch.tensor(0.5)
        if isinstance(module, snn.RLeaky):
            module.recurrent.bias = None
    x = trains(net)
    path = tmp_path / "net.nir"
    path.write_bytes(nir_bytes(to_nir(net, tuple(x.shape[2:]))))
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    assert torch.equal(_in_spikingjelly(path, x), expected)


@pytest.mark.slow
def test_a_trained_network_gives_the_same_classes_in_another_simulator(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    splits = load("nmnist", root=str(real_data("NMNIST")), steps=25)
    torch.manual_seed(0)
    options: dict[str, Any] = {"reset": "zero", "reset_delay": False}
    net = build("mlp", splits.train.feature_shape, 10, hidden=[200], **options)
    assert fit(net, splits, epochs=8).test_accuracy > 0.7
    path = tmp_path / "net.nir"
    path.write_bytes(nir_bytes(to_nir(net, splits.train.feature_shape)))
    batch = splits.test.batch(np.arange(200))
    ours = TemporalLFP(net).forward(batch.x).sum(0).argmax(1)
    assert isinstance(batch.x, Spikes)
    theirs = _in_spikingjelly(path, batch.x.dense(torch.float32)).sum(0).argmax(1)
    assert (ours == theirs).float().mean() >= 0.99
