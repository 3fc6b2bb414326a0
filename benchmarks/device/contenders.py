"""The contenders of a step on a device: ours as ``fit`` runs it, other toolkits at their best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import torch
from snntorch import functional as snn_functional
from torch import Tensor, nn
from typing_extensions import override

from benchmarks.device.cases import DeviceCase
from benchmarks.steps.contenders import LEARNING_RATE
from benchmarks.steps.peers import missing, translated
from lfp_snn import make_graphed
from lfp_snn.backends.precision import Precision
from lfp_snn.data import Batch
from lfp_snn.engine.graphed import GraphedStep
from lfp_snn.engine.options import EngineOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.rule_options import default_rule
from lfp_snn.learners.unrolled import rest
from lfp_snn.rewards import RateCoded
from lfp_snn.training.device_step import DeviceStep

__all__ = [
    "CONTENDERS",
    "DeviceContender",
    "OursOnDevice",
    "SnnTorchOnDevice",
    "SpikingJellyOnDevice",
]

Way = Literal["eager", "graph", "amp"]
Step = Callable[[], object]


class DeviceContender(ABC):
    """One who makes steps, in one way."""

    name: str

    def __init__(self, way: Way) -> None:
        self.way = way
        self.graphed: GraphedStep[Any] | None = None

    @property
    def title(self) -> str:
        """The title in tables."""
        return f"{self.name}, {self.way}"

    def available(self) -> str | None:
        """Why it cannot run here; None if it can."""
        return None

    @abstractmethod
    def prepare(self, case: DeviceCase, device: torch.device) -> Step:
        """Take up network and input; the result makes a step."""

    @abstractmethod
    def held(self) -> int:
        """Bytes of weights, gradients, the optimizer's state and the input."""

    @property
    def reason(self) -> str | None:
        """Why a step is no graph, where it was to be one."""
        return None if self.graphed is None or self.way != "graph" else self.graphed.reason


class OursOnDevice(DeviceContender):
    """The step of ``fit`` with its default rule and reward, on spikes that lie on the device."""

    def __init__(self, way: Way, precision: Precision = "tf32") -> None:
        super().__init__(way)
        self.name = f"lfp_snn, {precision}"
        self.precision: Precision = precision

    @override
    def prepare(self, case: DeviceCase, device: torch.device) -> Step:
        net = case.network().to(device).train()
        options = EngineOptions(precision=self.precision)
        learner = LFP(net, default_rule().make(), RateCoded(), options)
        optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=True)
        batch = Batch(*case.given(device))
        step = DeviceStep(learner, optimizer, 3.0, size=case.batch, alike=False, halt=False)
        self.graphed = step.graphed
        if self.way == "eager":
            step.graphed.reason = "it is asked to run as it is"
        self._bytes = 4 * _size(net) + _size_of(batch)
        return lambda: step(batch)

    @override
    def held(self) -> int:
        return self._bytes


class _Peer(DeviceContender):
    """Backpropagation through time with a surrogate gradient, on a dense input."""

    @override
    def prepare(self, case: DeviceCase, device: torch.device) -> Step:
        spikes, labels = case.given(device)
        x = spikes.dense()
        self.net = self.build(case).to(device).train()
        optimizer = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)
        self._bytes = 4 * _size(self.net) + x.nbytes + labels.nbytes
        cast = self.way == "amp"

        def step(x: Tensor, labels: Tensor) -> None:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16) if cast else nullcontext():
                loss = self.loss(x, labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        if self.way == "graph":
            self.graphed = make_graphed(step, optimizer)
        made: Callable[..., object] = self.graphed or step
        return lambda: made(x, labels)

    @override
    def held(self) -> int:
        return self._bytes

    @abstractmethod
    def build(self, case: DeviceCase) -> nn.Module:
        """The network in its own form."""

    @abstractmethod
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """The loss of a forward pass from rest."""


class SnnTorchOnDevice(_Peer):
    """snntorch, stepped over T."""

    name = "snntorch"

    @override
    def build(self, case: DeviceCase) -> nn.Module:
        return case.network()

    @override
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        rest(self.net)
        spikes = torch.stack([self.net(frame)[0] for frame in x])
        loss: Tensor = snn_functional.ce_count_loss()(spikes, labels)
        return loss


class SpikingJellyOnDevice(_Peer):
    """SpikingJelly in multi-step mode."""

    name = "SpikingJelly"

    @override
    def available(self) -> str | None:
        return missing("spikingjelly.activation_based.layer")

    @override
    def build(self, case: DeviceCase) -> nn.Module:
        return translated(case.network())

    @override
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional

        functional.reset_net(self.net)
        return nn.functional.cross_entropy(self.net(x).sum(0), labels)


def _size(net: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in net.parameters())


def _size_of(batch: Batch) -> int:
    x: Any = batch.x
    return int(x.indptr.nbytes + x.indices.nbytes + batch.labels.nbytes)


#: Makes each of them, best first.
CONTENDERS: tuple[Callable[[], DeviceContender], ...] = (
    lambda: OursOnDevice("graph"),
    lambda: OursOnDevice("eager"),
    lambda: OursOnDevice("graph", "bf16"),
    lambda: OursOnDevice("graph", "exact"),
    lambda: SpikingJellyOnDevice("graph"),
    lambda: SpikingJellyOnDevice("eager"),
    lambda: SpikingJellyOnDevice("amp"),
    lambda: SnnTorchOnDevice("eager"),
    lambda: SnnTorchOnDevice("graph"),
    lambda: SnnTorchOnDevice("amp"),
)
