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

import lfp_snn
from lfp_snn import Spikes, TemporalLFP, fit
from lfp_snn.analysis.exchange.nir_export import DT, meaning_lost, nir_bytes, to_nir
from lfp_snn.analysis.exchange.nir_import import from_nir, load_nir
from lfp_snn.data import load
from lfp_snn.errors import DataError, NetworkError
from lfp_snn.models import build
from tests.analysis.exchange.networks import INPUT, Residual, leaky, network, trains

nir = pytest.importorskip("nir", reason="the extra exchange is not installed")

RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]


def _round_trip(net: nn.Module, shape: tuple[int, ...], path: Path) -> nn.Module:
    path.write_bytes(nir_bytes(to_nir(net, shape)))
    return load_nir(path)


@pytest.mark.parametrize("kind", ["mlp", "csnn", "residual"])
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
    assert "reset subtract, delayed" in line


def _graph(*middle: object) -> object:
    return nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.zeros(2)), *middle)


def _lif(**changes: object) -> object:
    ones = np.ones(2)
    known = {"tau": ones, "r": ones, "v_leak": 0 * ones, "v_threshold": ones, "v_reset": 0 * ones}
    return nir.LIF(**(known | changes))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (_graph(_lif(v_reset=np.ones(2))), "'lif' .LIF. has a reset to another value"),
        (_graph(_lif(v_leak=np.ones(2))), "a leak to another value"),
        (_graph(_lif(r=-np.ones(2))), "factor"),
        (_graph(_lif(tau=np.full(2, DT / 2))), "give a dt"),
        (_graph(nir.Delay(np.ones(2)), _lif()), "'delay' .Delay. has no counterpart"),
        (_graph(nir.Scale(np.array([1.0, 2.0])), _lif()), "several factors"),
        (_graph(), "must be the spikes"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(graph: object, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        from_nir(graph)


def test_recurrent_graphs_are_refused() -> None:
    nodes = {
        "input": nir.Input(np.array([2])),
        "lif": _lif(),
        "back": nir.Linear(np.eye(2)),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")]
    with pytest.raises(NetworkError, match="recurrent .among back, lif, output"):
        from_nir(nir.NIRGraph(nodes, edges))


def test_a_foreign_graph_resets_to_zero_at_once() -> None:
    net = from_nir(_graph(_lif(tau=np.full(2, 2 * DT), r=np.full(2, 2.0))))
    (neuron,) = _neurons(net)
    assert (neuron.reset_mechanism, bool(neuron.reset_delay)) == ("zero", False)
    assert float(neuron.beta) == 0.5 and float(neuron.threshold) == 1


def test_current_that_is_scaled_by_the_resistance() -> None:
    """R = 1 means membranes in units of 1 - beta: the threshold takes the factor."""
    (neuron,) = _neurons(from_nir(_graph(_lif(tau=np.full(2, 4 * DT)))))
    assert float(neuron.threshold) == 4


def test_sum_pools() -> None:
    graph = nir.NIRGraph(
        {
            "input": nir.Input(np.array([1, 4, 4])),
            "pool": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
            "lif": nir.IF(*(np.full((1, 2, 2), n) for n in (1 / DT, 2.5))),
            "output": nir.Output(np.array([1, 2, 2])),
        },
        [("input", "pool"), ("pool", "lif"), ("lif", "output")],
    )
    x = torch.zeros(1, 1, 1, 4, 4)
    x[..., :2, :2] = 1
    x[..., 2:, 2:] = torch.eye(2)
    assert TemporalLFP(from_nir(graph)).forward(x).flatten().tolist() == [1, 0, 0, 0]


def test_files_that_are_not_nir(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        lfp_snn.load_nir(tmp_path / "absent.nir")
    (tmp_path / "wrong.nir").write_bytes(b"import os; os.abort()")
    with pytest.raises(DataError, match=r"wrong\.nir cannot be read as NIR"):
        load_nir(tmp_path / "wrong.nir")


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


@pytest.mark.parametrize("kind", ["mlp", "csnn"])
def test_another_simulator_gives_the_same_spikes(kind: str, tmp_path: Path) -> None:
    """With what NIR means: reset at once to zero."""
    # SpikingJelly fires at the threshold, NIR above it: one that no membrane meets exactly.
    net = network(kind, reset="zero", reset_delay=False, threshold=1.0003)
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
