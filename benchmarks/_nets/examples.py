"""The networks of snntorch's examples, narrowed to digits; each is written anew in its style."""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from benchmarks._nets.case import STEPS, UserNetwork

__all__ = ["EXAMPLES"]

FAST = surrogate.fast_sigmoid(slope=25)


def quickstart() -> nn.Module:
    """quickstart, and the networks that are pruned, exported to NIR or counted: one Sequential."""
    kept: dict[str, Any] = {"beta": 0.5, "spike_grad": FAST, "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**kept),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**kept),
        nn.Flatten(),
        nn.Linear(16 * 2 * 2, 10),
        snn.Leaky(**kept, output=True),
    )


class OfAlphas(nn.Module):
    """Alpha_neuron_training_example: neurons with two currents, whose states forward holds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 128), snn.Alpha(alpha=0.9, beta=0.8)
        self.fc2, self.lif2 = nn.Linear(128, 10), snn.Alpha(alpha=0.9, beta=0.8)

    @override
    def forward(self, x: Tensor) -> Any:
        exc1, inh1, mem1 = self.lif1.init_alpha()
        exc2, inh2, mem2 = self.lif2.init_alpha()
        spk_rec, mem_rec = [], []
        for _ in range(25):
            spk1, exc1, inh1, mem1 = self.lif1(self.fc1(x), exc1, inh1, mem1)
            spk2, exc2, inh2, mem2 = self.lif2(self.fc2(spk1), exc2, inh2, mem2)
            spk_rec.append(spk2)
            mem_rec.append(mem2)
        return torch.stack(spk_rec, dim=0), torch.stack(mem_rec, dim=0)


class OfOneStep(nn.Module):
    """TBPTT: one step, whose neurons keep their state."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 100), nn.Linear(100, 10)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=True)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True, output=True)

    @override
    def forward(self, x: Tensor) -> Any:
        cur1 = self.fc1(x)
        spk1 = self.lif1(cur1)
        cur2 = self.fc2(spk1)
        spk2, mem2 = self.lif2(cur2)
        return spk2, mem2


class Convolutions(nn.Module):
    """CIFAR_temp, the tutorial on gestures: convolutions and functional pools, states by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 12, 3, padding=1), snn.Leaky(beta=0.9)
        self.conv2, self.lif2 = nn.Conv2d(12, 24, 3, padding=1), snn.Leaky(beta=0.9)
        self.fc1, self.lif3 = nn.Linear(24 * 2 * 2, 10), snn.Leaky(beta=0.9)

    @override
    def forward(self, x: Tensor) -> Any:
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        mem3 = self.lif3.init_leaky()
        spk_rec, mem_rec = [], []
        for _step in range(STEPS):
            spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.view(x.size(0), -1)), mem3)
            spk_rec.append(spk3)
            mem_rec.append(mem3)
        return torch.stack(spk_rec), torch.stack(mem_rec)


def tactile() -> nn.Module:
    """The tutorial on ST-MNIST: convolution, neurons, then the pool."""
    kept: dict[str, Any] = {"beta": 0.95, "spike_grad": surrogate.atan(), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding="same"),
        snn.Leaky(**kept),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding="same"),
        snn.Leaky(**kept),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24 * 2 * 2, 10),
        snn.Leaky(**kept, output=True),
    )


class Heidelberg(nn.Module):
    """The Heidelberg digits: a sequence of spikes, time first, three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 100), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(100, 60), snn.Leaky(beta=0.9)
        self.fc3, self.lif3 = nn.Linear(60, 10), snn.Leaky(beta=0.9)

    @override
    def forward(self, data: Tensor) -> Any:
        mem1, mem2, mem3 = (each.init_leaky() for each in (self.lif1, self.lif2, self.lif3))
        spk_rec = []
        for step in range(data.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(data[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc3(spk2), mem3)
            spk_rec.append(spk3)
        return torch.stack(spk_rec)


class LearntConstants(nn.Module):
    """The search for exoplanets: decays and thresholds that learn, dropout between layers."""

    def __init__(self) -> None:
        super().__init__()
        learnt: dict[str, Any] = {"learn_threshold": True, "learn_beta": True, "spike_grad": FAST}
        self.fc1, self.lif1 = nn.Linear(64, 128), snn.Leaky(beta=0.9, **learnt)
        self.fc2, self.lif2 = nn.Linear(128, 64), snn.Leaky(beta=0.9, **learnt)
        self.dropout = nn.Dropout(0.2)
        self.fc3, self.lif3 = nn.Linear(64, 10), snn.Leaky(beta=0.9, **learnt)

    @override
    def forward(self, x: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        mem3, record = self.lif3.init_leaky(), []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc3(self.dropout(spk2)), mem3)
            record.append(spk3)
        return torch.stack(record)


class OfMembranes(nn.Module):
    """Regression 1: the membranes of a leaky integrator are the output."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_in, self.lif_in = nn.Linear(64, 100), snn.Leaky(beta=0.9)
        self.fc_out = nn.Linear(100, 10)
        self.li_out = snn.Leaky(beta=0.9, threshold=1.0, reset_mechanism="none", learn_beta=True)

    @override
    def forward(self, x: Tensor) -> Any:
        mem_1, mem_2, mem_rec = self.lif_in.init_leaky(), self.li_out.init_leaky(), []
        for _ in range(STEPS):
            spk, mem_1 = self.lif_in(self.fc_in(x), mem_1)
            _, mem_2 = self.li_out(self.fc_out(spk), mem_2)
            mem_rec.append(mem_2)
        return torch.stack(mem_rec)


class Recurrent(nn.Module):
    """Regression 2: recurrent neurons that are handed their spikes and membranes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.rlif1 = nn.Linear(64, 100), snn.RLeaky(beta=0.9, linear_features=100)
        self.fc2, self.rlif2 = nn.Linear(100, 10), snn.RLeaky(beta=0.9, all_to_all=False)

    @override
    def forward(self, x: Tensor) -> Any:
        spk1, mem1 = self.rlif1.init_rleaky()
        spk2, mem2 = self.rlif2.init_rleaky()
        record = []
        for _ in range(STEPS):
            spk1, mem1 = self.rlif1(self.fc1(x), spk1, mem1)
            spk2, mem2 = self.rlif2(self.fc2(spk1), spk2, mem2)
            record.append(spk2)
        return torch.stack(record)


class Populations(nn.Module):
    """Population coding: ten neurons for each class, whose mean is what they say together."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 128), snn.Leaky(beta=0.9, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(128, 100), snn.Leaky(beta=0.9, init_hidden=True)

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif2(self.fc2(self.lif1(self.fc1(x))))
        votes: Tensor = spk.view(-1, 10, 10).mean(2)
        return votes


class Signs(nn.Module):
    """BSNN: weights that are signs times a scale, from weights that learn."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 200), nn.Linear(200, 10)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=True)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True)

    def binary(self, weight: Tensor) -> Tensor:
        """The signs of the weights, at their mean size; learnt as if they were the weights."""
        signs = weight.sign() * weight.abs().mean()
        return (signs - weight).detach() + weight

    @override
    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif1(F.linear(x, self.binary(self.fc1.weight), self.fc1.bias))
        out: Tensor = self.lif2(F.linear(spk, self.binary(self.fc2.weight), self.fc2.bias))
        return out


class Waves(nn.Module):
    """EEG of CHB-MIT: convolutions of one dimension, batch norm, two classes and more."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(8, 32, 3, padding=1), nn.BatchNorm1d(32)
        self.lif1, self.pool = snn.Leaky(beta=0.9), nn.AvgPool1d(2)
        self.fc, self.lif2 = nn.Linear(32 * 4, 10), snn.Leaky(beta=0.9)
        nn.init.normal_(self.bn1.bias, std=0.1)

    @override
    def forward(self, x: Tensor) -> Any:
        mem1, mem2, record = self.lif1.init_leaky(), self.lif2.init_leaky(), []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.bn1(self.conv1(x.squeeze(1))), mem1)
            spk2, mem2 = self.lif2(self.fc(self.pool(spk1).flatten(1)), mem2)
            record.append(spk2)
        return torch.stack(record)


class Student(nn.Module):
    """Knowledge distillation: the student, whose spikes are summed in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 80), nn.Linear(80, 40), nn.Linear(40, 10)])
        self.neurons = nn.ModuleList(snn.Leaky(beta=0.9) for _ in self.layers)

    @override
    def forward(self, x: Tensor) -> Tensor:
        mems = [each.init_leaky() for each in self.neurons]  # type: ignore[operator]
        total = torch.zeros(())
        for _ in range(STEPS):
            spk = x
            for k, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
                spk, mems[k] = neuron(layer(spk), mems[k])
            total = total + spk
        return total


class Optuna(nn.Module):
    """The tutorial on Optuna: dropout and a choice of layers by an option."""

    def __init__(self, p: float = 0.1, deep: bool = True) -> None:
        super().__init__()
        kept: dict[str, Any] = {"beta": 0.8, "spike_grad": FAST, "init_hidden": True}
        self.deep, self.p = deep, p
        self.conv1, self.lif1 = nn.Conv2d(1, 16, 3, padding=1), snn.Leaky(**kept)
        self.conv2, self.lif2 = nn.Conv2d(16, 32, 3, padding=1), snn.Leaky(**kept)
        self.fc, self.lif3 = nn.Linear(32 * 2 * 2, 10), snn.Leaky(**kept, output=True)

    @override
    def forward(self, x: Tensor) -> Any:
        spk = self.lif1(F.max_pool2d(self.conv1(x), 2))
        if self.deep:
            spk = self.lif2(F.max_pool2d(self.conv2(spk), 2))
        spk = F.dropout(spk, self.p, self.training)
        return self.lif3(self.fc(spk.flatten(1)))


EXAMPLES = (
    UserNetwork("quickstart; NIR, pruning, metrics: `nn.Sequential`", quickstart, "map"),
    UserNetwork("alpha neurons, states by hand", OfAlphas, loops=True),
    UserNetwork("TBPTT: one step that returns `spk, mem`", OfOneStep),
    UserNetwork("CIFAR, gestures: convolutions, functional pools", Convolutions, "map", loops=True),
    UserNetwork("ST-MNIST: pools behind the neurons", tactile, "map"),
    UserNetwork("Heidelberg digits: a sequence, three layers", Heidelberg, "spikes", loops=True),
    UserNetwork("exoplanets: decays and thresholds that learn", LearntConstants, loops=True),
    UserNetwork("regression 1: membranes of a leaky integrator", OfMembranes, loops=True),
    UserNetwork("regression 2: RLeaky, states by hand", Recurrent, loops=True),
    UserNetwork("population coding", Populations),
    UserNetwork("BSNN: signs of weights", Signs),
    UserNetwork("EEG: convolutions of one dimension, batch norm", Waves, "map", loops=True),
    UserNetwork(
        "distillation: the student sums its spikes",
        Student,
        loops=True,
        record=lambda record: record.sum(0),
    ),
    UserNetwork("Optuna: dropout, a branch by an option", Optuna, "map"),
)
