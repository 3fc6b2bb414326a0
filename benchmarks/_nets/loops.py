"""Kinds of networks by how they hold their states and go over time."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from typing_extensions import override

from benchmarks._nets.case import STEPS, UserNetwork

__all__ = ["LOOPS"]


class Two(nn.Module):
    """Two layers of neurons that keep nothing."""

    hidden = 100

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, self.hidden), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(self.hidden, 10), snn.Leaky(beta=0.9, **options)

    def step(self, x: Tensor, mem1: Any, mem2: Any) -> tuple[Tensor, Any, Any]:
        """One time step."""
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class OnSelf(Two):
    """States on self, set to None before the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.mem1 = self.mem2 = None

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk, self.mem1, self.mem2 = self.step(x, self.mem1, self.mem2)
        return spk


class InAnObject(Two):
    """States in a plain object on self."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SimpleNamespace(one=None, two=None)

    @override
    def forward(self, x: Tensor) -> Tensor:
        kept = self.state
        spk, kept.one, kept.two = self.step(x, kept.one, kept.two)
        return spk


class PassedThrough(Two):
    """States that the caller hands in and gets back."""

    @override
    def forward(self, x: Tensor, state: Any = None) -> Any:
        mem1, mem2 = (None, None) if state is None else state
        spk, mem1, mem2 = self.step(x, mem1, mem2)
        return spk, (mem1, mem2)


class Preallocated(Two):
    """A record of zeros that is written into."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        record = torch.zeros(STEPS, x.size(0), 10, dtype=x.dtype)
        for t in range(STEPS):
            record[t], mem1, mem2 = self.step(x, mem1, mem2)
        return record


class BatchFirst(Two):
    """A sequence with samples first, as its record."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x.unbind(1):
            spk, mem1, mem2 = self.step(frame, mem1, mem2)
            record.append(spk)
        return torch.stack(record, 1)


class Permuted(Two):
    """Samples first, brought into another order before the loop."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for frame in x.permute(1, 0, 2):
            spk, mem1, mem2 = self.step(frame, mem1, mem2)
            record.append(spk.unsqueeze(0))
        return torch.cat(record).permute(1, 0, 2)


class TheLast(Two):
    """Only the last step is returned."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        for _ in range(STEPS):
            spk, mem1, mem2 = self.step(x, mem1, mem2)
        return spk


class Means(Two):
    """The mean over the steps is returned."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(STEPS):
            spk, mem1, mem2 = self.step(x, mem1, mem2)
            record.append(spk)
        return torch.stack(record).mean(dim=0)


class LogSoftmax(Two):
    """The log-softmax of the last membranes of a readout."""

    def __init__(self) -> None:
        super().__init__(threshold=float("inf"), reset_mechanism="none")

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(STEPS):
            _, mem1, mem2 = self.step(x, mem1, mem2)
            record.append(mem2)
        return torch.stack(record).mean(0).log_softmax(-1)


class Head(nn.Module):
    """A linear layer on the mean of the record."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 100), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(100, 60), snn.Leaky(beta=0.9)
        self.head = nn.Linear(60, 10)

    @override
    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(STEPS):
            spk, mem1 = self.lif1(self.fc1(x), mem1)
            spk, mem2 = self.lif2(self.fc2(spk), mem2)
            record.append(spk)
        out: Tensor = self.head(torch.stack(record).mean(0))
        return out


class Before(nn.Module):
    """A layer that takes all steps as one batch before the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(1, 8, 3, padding=1), snn.Leaky(beta=0.9)
        self.fc, self.lif2 = nn.Linear(8 * 64, 10), snn.Leaky(beta=0.9)

    @override
    def forward(self, x: Tensor) -> Tensor:
        steps, batch = x.shape[:2]
        currents = self.conv(x.view(steps * batch, 1, 8, 8)).view(steps, batch, 8, 8, 8)
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for t in range(steps):
            spk, mem1 = self.lif1(currents[t], mem1)
            spk, mem2 = self.lif2(self.fc(spk.flatten(1)), mem2)
            record.append(spk)
        return torch.stack(record)


class Synaptics(nn.Module):
    """Synaptic neurons by hand, of which the first layer's current is unused."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 100), snn.Synaptic(alpha=0.6, beta=0.9)
        self.fc2, self.lif2 = nn.Linear(100, 10), snn.Synaptic(alpha=0.6, beta=0.9)

    @override
    def forward(self, x: Tensor) -> Any:
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.init_synaptic()
        spk_rec = []
        for _ in range(STEPS):
            spk1, syn1, mem1 = self.lif1(self.fc1(x), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spk_rec.append(spk2)
        return torch.stack(spk_rec)


class InLists(nn.Module):
    """Layers in a list, with states in a list."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (64, 80, 60, 10)
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.lifs = nn.ModuleList(snn.Leaky(beta=0.9) for _ in self.fcs)

    @override
    def forward(self, x: Tensor) -> Tensor:
        states: list[Any] = [None] * len(self.lifs)
        record = []
        for _ in range(STEPS):
            spk = x
            for k, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                spk, states[k] = lif(fc(spk), states[k])
            record.append(spk)
        return torch.stack(record)


def sequential(neuron: Any, **options: Any) -> nn.Module:
    """Two layers of a kind of neurons, which keep their states."""
    return nn.Sequential(
        nn.Linear(64, 100),
        neuron(**options, init_hidden=True),
        nn.Linear(100, 10),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


LOOPS = (
    UserNetwork("states on self", OnSelf),
    UserNetwork("states in an object on self", InAnObject),
    UserNetwork("states handed in and out", PassedThrough),
    UserNetwork("a record written into", Preallocated, loops=True),
    UserNetwork(
        "samples first, `unbind(1)`",
        BatchFirst,
        "spikes",
        loops=True,
        batch_first=True,
        record=lambda record: record.transpose(0, 1),
    ),
    UserNetwork(
        "samples first, permuted",
        Permuted,
        "spikes",
        loops=True,
        batch_first=True,
        record=lambda record: record.transpose(0, 1),
    ),
    UserNetwork("the last step alone", TheLast, loops=True, record=lambda record: record[-1]),
    UserNetwork("the mean over time", Means, loops=True, record=lambda record: record.mean(0)),
    UserNetwork(
        "log-softmax of mean membranes",
        LogSoftmax,
        loops=True,
        record=lambda record: record.mean(0).log_softmax(-1),
    ),
    UserNetwork(
        "a linear layer on the mean record", Head, loops=True, record=lambda record: record.mean(0)
    ),
    UserNetwork("a convolution of all steps at once", Before, "spikes", loops=True),
    UserNetwork("Synaptic, states by hand", Synaptics, loops=True),
    UserNetwork("lists of layers and states", InLists, loops=True),
    UserNetwork("Lapicque", lambda: sequential(snn.Lapicque, beta=0.9)),
    UserNetwork(
        "RSynaptic, all to all",
        lambda: sequential(snn.RSynaptic, alpha=0.5, beta=0.9, linear_features=100),
    ),
    UserNetwork(
        "reset to zero, at once",
        lambda: sequential(snn.Leaky, beta=0.9, reset_mechanism="zero", reset_delay=False),
    ),
    UserNetwork(
        "a graded spike",
        lambda: sequential(snn.Leaky, beta=0.9, graded_spikes_factor=1.5, learn_threshold=True),
    ),
)
