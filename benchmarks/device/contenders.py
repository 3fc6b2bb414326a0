"""The contenders of a step on a device: ours as ``fit`` runs it, other toolkits at their best."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from typing_extensions import override

from benchmarks.steps.contenders import CPU, LEARNING_RATE, Contender, Way, bytes_of
from benchmarks.steps.peers import SnnTorch, SpikingJelly
from benchmarks.steps.problem import Problem
from lfp_snn.backends.precision import Precision
from lfp_snn.data import Batch
from lfp_snn.engine.options import EngineOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.rule_options import default_rule
from lfp_snn.rewards import RateCoded
from lfp_snn.training.device_step import DeviceStep

__all__ = ["CONTENDERS", "OursAsFit"]


class OursAsFit(Contender):
    """The step of ``fit`` with its default rule and reward, on spikes that lie on the device.

    Args:
        way: how a step is run.
        precision: the precision of the products.
        backend: the name of the kernels.
    """

    def __init__(
        self, way: Way = "eager", precision: Precision = "tf32", backend: str = "auto"
    ) -> None:
        super().__init__(way)
        self.name = f"lfp_snn, {precision}" + (f", {backend}" if backend != "auto" else "")
        self.precision = precision
        self.backend = backend

    @override
    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        self.net = problem.build().to(device).train()
        options = EngineOptions(self.backend, precision=self.precision)
        self.learner = LFP(self.net, default_rule().make(), RateCoded(), options)
        self.seen = self.learner.engine.backend != "events"
        optimizer = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)
        x, labels = problem.x.to(device), problem.labels.to(device)
        self.given = bytes_of(x, labels)
        self.batch = Batch(x, labels)
        self.made = DeviceStep(self.learner, optimizer, 3.0, size=x.batch, alike=False, halt=False)
        self.graphed = self.made.graphed
        if self.way == "eager":
            self.graphed.reason = "it is asked to run as it is"

    @override
    def step(self) -> None:
        self.made(self.batch)

    @override
    def firing(self) -> tuple[float, ...]:
        self.learner.engine.forward(self.batch.x, record=False)
        return tuple(self.learner.engine.firing_rates.values())


#: Makes each of them, best first.
CONTENDERS: tuple[Callable[[], Contender], ...] = (
    partial(OursAsFit, "graph"),
    partial(OursAsFit, "eager"),
    partial(OursAsFit, "graph", "bf16"),
    partial(OursAsFit, "graph", "exact"),
    partial(OursAsFit, "eager", "tf32", "torch"),
    *(partial(kind, way) for kind in (SpikingJelly, SnnTorch) for way in ("graph", "eager", "amp")),
)
