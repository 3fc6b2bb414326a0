"""The networks and inputs that are measured on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import snntorch as snn
import torch
from torch import nn
from typing_extensions import override

from benchmarks.steps.problem import Problem
from lfp_snn.spikes import Spikes

__all__ = ["CASES", "LAYERS", "CaseProblem", "DeviceCase"]


def _lif(*, output: bool = False) -> snn.Leaky:
    return snn.Leaky(beta=0.9, init_hidden=True, output=output)


def _mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(2312, 1000), _lif(), nn.Linear(1000, 10), _lif(output=True)
    )


def _csnn() -> nn.Sequential:
    maps = [nn.Conv2d(2, 12, 5), _lif(), nn.MaxPool2d(2), nn.Conv2d(12, 32, 5), _lif()]
    return nn.Sequential(
        *maps, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 10), _lif(output=True)
    )


def _normed(arriving: int, leaving: int) -> list[nn.Module]:
    return [nn.Conv2d(arriving, leaving, 3, padding=1, bias=False), nn.BatchNorm2d(leaving), _lif()]


def _tail(arriving: int, hidden: int, classes: int) -> list[nn.Module]:
    first = [nn.Flatten(), nn.Linear(arriving, hidden), _lif()]
    return [*first, nn.Linear(hidden, classes), _lif(output=True)]


def _vgg() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = (2, 64, 64, 128, 128, 256, 256)
    for k, pair in enumerate(pairwise(channels)):
        layers += [*_normed(*pair), *([nn.MaxPool2d(2)] if k % 2 else [])]
    return nn.Sequential(*layers, *_tail(4096, 512, 10))


def _gesture() -> nn.Sequential:
    layers: list[nn.Module] = []
    for k in range(5):
        layers += [*_normed(64 if k else 2, 64), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, *_tail(1024, 256, 11))


def _layer(units: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(units, units), _lif(output=True))


@dataclass(frozen=True)
class DeviceCase:
    """A network and its input.

    Args:
        name: the name in tables.
        build: makes the network, with the weights that torch's random numbers give.
        steps: the number of steps, T.
        batch: the number of samples, B.
        shape: the shape of a frame.
        classes: the number of outputs.
        density: the chance of an input to be active in a step.
    """

    name: str
    build: Callable[[], nn.Sequential]
    steps: int
    batch: int
    shape: tuple[int, ...]
    classes: int
    density: float

    def network(self) -> nn.Sequential:
        """Make the network, with the same weights every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build()

    def pose(self) -> CaseProblem:
        """The problem of this case, the same every time."""
        draw = torch.Generator().manual_seed(0)
        active = torch.rand(self.steps, self.batch, *self.shape, generator=draw) < self.density
        labels = torch.randint(self.classes, (self.batch,), generator=draw)
        source = f"independent spikes with probability {self.density:g}"
        return CaseProblem(Spikes.from_dense(active), labels, source, self)

    def small(self) -> DeviceCase:
        """The case with few samples and steps, to see that it runs."""
        return replace(self, steps=3, batch=2)


@dataclass(frozen=True, eq=False)
class CaseProblem(Problem):
    """A problem on the network of a case.

    Args:
        case: the case.
    """

    case: DeviceCase

    @override
    def build(self) -> nn.Sequential:
        return self.case.network()

    @override
    def facts(self) -> dict[str, Any]:
        return {"case": self.case.name} | super().facts()


CASES = (
    DeviceCase("mlp, batch 100", _mlp, 25, 100, (2, 34, 34), 10, 0.044),
    DeviceCase("mlp, batch 1000", _mlp, 25, 1000, (2, 34, 34), 10, 0.044),
    DeviceCase("csnn, batch 50", _csnn, 25, 50, (2, 34, 34), 10, 0.044),
    DeviceCase("csnn, batch 500", _csnn, 25, 500, (2, 34, 34), 10, 0.044),
    DeviceCase("csnn, T = 100", _csnn, 100, 50, (2, 34, 34), 10, 0.016),
    DeviceCase("vgg, batch norm", _vgg, 16, 32, (2, 32, 32), 10, 0.05),
    DeviceCase("gesture, batch norm", _gesture, 16, 16, (2, 128, 128), 11, 0.03),
)

#: The field's own benchmark: one linear layer and its neurons.
LAYERS = tuple(
    DeviceCase(f"linear + LIF, {units}", partial(_layer, units), 500, 16, (units,), units, 0.1)
    for units in (512, 1024, 2048, 4096, 8192, 16384)
)
