from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.data import Batch, SampleSet
from lfp_snn.errors import DataError, NetworkError
from lfp_snn.spikes import Spikes

pytest.importorskip("neurobench", reason="the extra metrics is not installed")

from lfp_snn.analysis.metrics import Metrics, measure


@dataclass
class Samples:
    """Two recordings of two steps; the second is silent."""

    lengths: Tensor | None = None
    feature_shape: tuple[int, ...] = (3,)

    def __len__(self) -> int:
        return 2

    def batch(self, indices: list[int]) -> Batch:
        x = torch.zeros(2, 2, 3)
        x[:, 0] = torch.tensor([[1.0, 1, 0], [0, 0, 1]])
        labels = torch.tensor([0, 1])[indices]
        return Batch(Spikes.from_dense(x[:, indices]), labels, self.lengths)


def _leaky(threshold: float, output: bool = False) -> snn.Leaky:
    return snn.Leaky(
        beta=0.5,
        threshold=threshold,
        reset_mechanism="zero",
        reset_delay=False,
        init_hidden=True,
        output=output,
    )


@pytest.fixture
def net() -> Any:
    net: Any = nn.Sequential(
        nn.Linear(3, 2, bias=False),
        _leaky(0.75),
        nn.Linear(2, 2, bias=False),
        _leaky(0.6, output=True),
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0, 1], [0, 1, 0]]))
        net[2].weight.copy_(torch.tensor([[0.5, 0], [0.25, 0.25]]))
    return net


def _measure(net: nn.Module, samples: Any) -> Metrics:
    return measure(net, cast(SampleSet, samples))


def test_figures_are_those_counted_by_hand(net: Any) -> None:
    """First recording: hidden spikes (1, 1), (1, 0); output membranes (.5, .5), then (.75, .5).

    Of those the first output spikes and is zeroed.
    """
    found = _measure(net, Samples())
    assert found.accuracy == 0.5  # class 0, and a tie read as class 0
    assert found.parameters == 10
    # 10 weights of 4 bytes; each population has beta, threshold, a factor (4) and an int64.
    assert found.footprint == 10 * 4 + 2 * (3 * 4 + 8)
    assert found.connection_sparsity == 0.4  # 3 of 6 and 1 of 4
    assert found.activation_sparsity == 12 / 16  # 4 spikes
    assert found.synaptic_operations_dense == 2 * 6 + 2 * 4
    assert found.effective_acs == (3 + 5) / 2
    assert found.effective_macs == 0
    # All 8 membranes in the first step, by NeuroBench's convention; then one that changes.
    assert found.membrane_updates == 9 / 2
    assert found.neuron_steps == 8
    first, last = found.synapses
    assert (first.name, first.effective, first.dense) == ("0", 3 / 2, 12)
    assert (last.name, last.effective, last.dense) == ("2", 5 / 2, 8)
    assert first.from_input and not last.from_input
    assert first.binary and last.binary


def test_energies_are_those_counted_by_hand(net: Any) -> None:
    energy = _measure(net, Samples()).energy
    add, mac, multiply = 0.9, 4.6, 3.7
    neurons = 8 * (multiply + 3 * add)
    scan, surrogate = 8 * (3 * multiply + 4 * add), 8 * (5 * multiply + 4 * add)
    expected = {
        "inference_45nm": 4 * add + neurons,
        "inference_dense_45nm": 20 * mac + neurons,
        "inference_loihi": 4 * 23.6 + 4.5 * 81 + 3.5 * 52,
        "lfp_step_45nm": 8 * add + 2.5 * mac + neurons + scan,
        "bptt_sparse_step_45nm": 8 * add + 8 * mac + neurons + surrogate,
        "bptt_dense_step_45nm": 48 * mac + neurons + surrogate,
    }
    for name, picojoules in expected.items():
        assert getattr(energy, name) == pytest.approx(picojoules * 1e-12), name


def test_the_network_is_as_before(net: Any) -> None:
    net(torch.ones(4, 3))  # leaves membranes, with a graph behind them
    membranes = net[1].mem.clone()
    before = _measure(net, Samples()).footprint
    assert torch.equal(net[1].mem, membranes)
    assert before == 80  # no membrane of an earlier batch counts
    assert net.training


def test_means_of_spikes_are_multiplied() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Unflatten(1, (1, 1, 3)),
        nn.AvgPool2d((1, 3)),
        nn.Flatten(),
        nn.Linear(1, 2),
        _leaky(0.6, output=True),
    )
    found = _measure(net, Samples())
    # Means of 2/3 and 1/3 in the first recording; the second is all zero, and so binary.
    assert found.effective_acs + found.effective_macs == 4 / 2
    assert found.effective_macs == 4 / 2
    assert [s.binary for s in found.synapses] == [False]


def test_recordings_of_different_lengths_are_refused(net: Any) -> None:
    with pytest.raises(DataError, match="different lengths"):
        _measure(net, Samples(lengths=torch.tensor([1])))


def test_a_metric_that_fails_is_no_zero(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from neurobench.metrics import workload

    def fail(*_: object) -> None:
        raise ValueError("cannot count")

    monkeypatch.setattr(workload.MembraneUpdates, "__call__", fail)
    with pytest.raises(NetworkError, match=r"MembraneUpdates.*cannot count"):
        _measure(net, Samples())


class LoopsAlike(nn.Module):
    """The network above with a loop over time, and states by hand."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = copy.deepcopy(of)
        for neuron in (self.lif1, self.lif2):
            neuron.init_hidden = neuron.output = False

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x:
            spk, mem1 = self.lif1(self.fc1(frame.flatten(1)), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(spk)
        return torch.stack(record)


def test_a_forward_that_loops_over_time_is_measured_as_its_step(net: Any) -> None:
    found, same = _measure(LoopsAlike(net), Samples()), _measure(net, Samples())
    names = {"0": "fc1", "2": "fc2"}
    synapses = [replace(each, name=names[each.name]) for each in same.synapses]
    assert found == replace(same, synapses=synapses)
    assert found.effective_acs == 4 and found.accuracy == 0.5
