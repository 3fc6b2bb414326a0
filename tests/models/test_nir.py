from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

import lfp_snn
from lfp_snn import TemporalLFP
from lfp_snn.errors import DataError, NetworkError
from lfp_snn.models.nir import DT, from_nir, load_nir

nir = pytest.importorskip("nir", reason="the extra exchange is not installed")


def _neurons(net: nn.Module) -> list[snn.Leaky]:
    return [m for m in net.modules() if isinstance(m, snn.Leaky)]


def _graph(*middle: object) -> object:
    return nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.zeros(2)), *middle)


def _lif(size: int = 2, **changes: object) -> object:
    ones = np.ones(size)
    known = {"tau": ones, "r": ones, "v_leak": 0 * ones, "v_threshold": ones, "v_reset": 0 * ones}
    return nir.LIF(**(known | changes))


def _li(size: int = 2, **changes: object) -> object:
    ones = np.ones(size)
    return nir.LI(**({"tau": ones, "r": ones, "v_leak": 0 * ones} | changes))


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
        (_graph(_li(), nir.Linear(np.ones((2, 2))), _lif()), "'li' .LI. has a membrane to pass on"),
        (_graph(_li(r=np.array([1.0, 2.0]))), "factors from 0.0001 to 0.0002"),
        (_graph(_li(v_leak=np.ones(2))), "'li' .LI. has a leak to another value"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(graph: object, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        from_nir(graph)


LOOP = [("input", "lif"), ("lif", "back"), ("back", "lif"), ("lif", "output")]


def _loop(back: object, neurons: object | None = None, edges: Any = LOOP, size: int = 2) -> Any:
    nodes = {
        "input": nir.Input(np.array([size])),
        "lif": _lif() if neurons is None else neurons,
        "back": back,
        "output": nir.Output(np.array([size])),
    }
    return nir.NIRGraph(nodes, edges)


def _by_hand(weight: np.ndarray, x: np.ndarray, bias: float = 0) -> np.ndarray:
    """Spikes of Euler steps, neuron by neuron: reset at once to zero, the loop a step later."""
    spikes = np.zeros_like(x)
    v, before = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for t, current in enumerate(x):
        for j in range(len(v)):
            v[j] = 0.75 * v[j] + 0.25 * (current[j] + weight[j] @ before + bias)
        spikes[t] = v > 0.25
        v, before = np.where(spikes[t] > 0, 0, v), spikes[t]
    return spikes


@pytest.mark.parametrize("size", [2, 3])
def test_what_goes_round_a_loop_arrives_a_step_later(size: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(-1, 1.5, (size, size))
    x = rng.random((20, size)) * 1.5
    lif = _lif(size, tau=np.full(size, 4 * DT), v_threshold=np.full(size, 0.25))
    net = from_nir(_loop(nir.Affine(weight, np.full(size, 0.25)), lif, size=size))
    spikes = TemporalLFP(net.double()).forward(torch.from_numpy(x)[:, None])[:, 0].numpy()
    expected = _by_hand(weight, x, bias=0.25)
    assert 0.2 < expected.mean() < 0.8
    assert np.array_equal(spikes, expected)


def test_a_recurrent_subgraph_as_snntorch_writes_it() -> None:
    weight = np.array([[0.5, -1.5], [1.5, 0.25]])
    inner = _loop(nir.Linear(weight))
    nodes = {
        "input": nir.Input(np.array([3])),
        "fc": nir.Affine(np.ones((2, 3)), np.zeros(2)),
        "rlif": inner,
        "output": nir.Output(np.array([2])),
    }
    net = from_nir(nir.NIRGraph(nodes, [("input", "fc"), ("fc", "rlif"), ("rlif", "output")]))
    (neuron,) = (m for m in net.modules() if isinstance(m, snn.RLeaky))
    assert torch.equal(neuron.recurrent.weight, torch.from_numpy(weight))
    assert list(net.weights()) == ["fc.weight", "fc.bias", "rlif.lif.recurrent.weight"]


def test_one_to_one_and_synaptic_neurons() -> None:
    net = from_nir(_loop(nir.Scale(np.array([0.5, 0.25]))))
    (recurrent,) = (m for m in net.modules() if isinstance(m, snn.RLeaky))
    assert not recurrent.all_to_all and recurrent.V.tolist() == [0.5, 0.25]
    (synaptic,) = (m for m in from_nir(_graph(_cuba())).modules() if isinstance(m, snn.Synaptic))
    # The current enters with w_in dt / tau_syn * R dt / tau_mem = 1 * 1/4.
    assert float(synaptic.alpha) == 0.5 and float(synaptic.beta) == 0.75
    assert float(synaptic.threshold) == 4


def _cuba(**changes: object) -> Any:
    ones = np.ones(2)
    known = {"tau_syn": 2 * DT * ones, "tau_mem": 4 * DT * ones, "r": ones, "w_in": 2 * ones}
    known |= {"v_leak": 0 * ones, "v_threshold": ones, "v_reset": 0 * ones}
    return nir.CubaLIF(**(known | changes))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (_loop(nir.Linear(np.eye(2)), edges=[*LOOP, ("input", "back")]), "recurrent .among back"),
        (_loop(nir.Linear(np.eye(2)), edges=[*LOOP, ("back", "output")]), "recurrent .among back"),
        (_loop(_lif()), "recurrent .among back, lif, output"),
        (_loop(nir.Linear(np.eye(2)), _cuba()), "'lif' .CubaLIF. has a loop and a reset at once"),
    ],
)
def test_other_recurrence_is_refused(graph: Any, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        from_nir(graph)


def test_a_synaptic_loop_that_resets_a_step_later_is_rsynaptic() -> None:
    weight = np.array([[0.5, -1.5], [1.5, 0.25]])
    late = _cuba()
    late.metadata = {"reset_mechanism": "subtract", "reset_delay": 1}
    net = from_nir(_loop(nir.Linear(weight), late))
    (neuron,) = (m for m in net.modules() if isinstance(m, snn.RSynaptic))
    assert float(neuron.alpha) == 0.5 and float(neuron.beta) == 0.75
    assert torch.equal(neuron.recurrent.weight, torch.from_numpy(weight))


def test_integrators_of_a_file_without_seconds_keep_their_thresholds() -> None:
    """As sinabs writes them: R = 1, a threshold in the unit of the weights, and no dt."""
    graph = _graph(nir.IF(np.ones(2), np.array([1.5, 1.5])))
    with pytest.warns(UserWarning, match=r"not say how long a step is: .*thresholds of if \(IF\)"):
        net = from_nir(graph)
    (neuron,) = _neurons(net)
    assert float(neuron.beta) == 1 and float(neuron.threshold) == 1.5
    assert TemporalLFP(net).forward(torch.ones(4, 1, 3)).sum() > 0
    # Who says what a step is, is believed: R dt = 1e-3 of a current arrives in a step.
    (slow,) = _neurons(from_nir(graph, dt=1e-3))
    assert float(slow.threshold) == pytest.approx(1500)
    # And so is who writes the R of a step, as snntorch and SpikingJelly do.
    (fast,) = _neurons(from_nir(_graph(nir.IF(np.full(2, 1 / DT), np.array([1.5, 1.5])))))
    assert float(fast.threshold) == 1.5


def test_time_constants_that_can_only_be_steps_are_steps() -> None:
    """tau = 20 seconds of a neuron that steps in 0.1 ms would be a network that never spikes."""
    graph = _graph(_lif(tau=np.array([20.0, 4.0]), r=np.array([20.0, 4.0])))
    with pytest.warns(UserWarning, match=r"time constants of lif .all above 1. are taken"):
        (neuron,) = _neurons(from_nir(graph))
    assert neuron.beta.tolist() == pytest.approx([0.95, 0.75])
    assert float(neuron.threshold) == 1
    (given,) = _neurons(from_nir(graph, dt=1.0))
    assert torch.equal(given.beta, neuron.beta)
    # One constant that is a time says that all are; a step that is given is believed.
    (mixed,) = _neurons(from_nir(_graph(_lif(tau=np.array([20.0, 0.01])))))
    assert mixed.beta.tolist() == pytest.approx([1 - DT / 20, 0.99])
    (slow,) = _neurons(from_nir(graph, dt=0.1))
    assert slow.beta.tolist() == pytest.approx([0.995, 0.975])


def test_a_foreign_graph_resets_to_zero_at_once() -> None:
    net = from_nir(_graph(_lif(tau=np.full(2, 2 * DT), r=np.full(2, 2.0))))
    (neuron,) = _neurons(net)
    assert (neuron.reset_mechanism, bool(neuron.reset_delay)) == ("zero", False)
    assert float(neuron.beta) == 0.5 and float(neuron.threshold) == 1


def test_current_that_is_scaled_by_the_resistance() -> None:
    """R = 1 means membranes in units of 1 - beta: the threshold takes the factor."""
    (neuron,) = _neurons(from_nir(_graph(_lif(tau=np.full(2, 4 * DT)))))
    assert float(neuron.threshold) == 4


@pytest.mark.parametrize("resistance", [1.0, 5.0, 10.0])
def test_a_leaky_integrator_is_a_readout_in_its_own_unit(resistance: float) -> None:
    """Against Euler's steps of NIR's equation; with 1 and 5 the current enters scaled."""
    weight = np.array([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]])
    node = _li(tau=np.full(2, 10 * DT), r=np.full(2, resistance))
    net = from_nir(nir.NIRGraph.from_list(nir.Linear(weight), node), dt=DT)
    x = (torch.rand(12, 2, 3, dtype=torch.float64) < 0.5).double()
    lfp = TemporalLFP(net.double())
    assert lfp.is_readout
    lfp.forward(x)
    v = np.zeros((2, 2))
    for t in range(12):
        v = v + 0.1 * (resistance * x[t].numpy() @ weight.T - v)
        np.testing.assert_allclose(lfp.membranes[t].numpy(), v, rtol=1e-6, atol=1e-7)


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
    with pytest.raises(DataError, match=r"wrong\.nir is damaged"):
        load_nir(tmp_path / "wrong.nir")
